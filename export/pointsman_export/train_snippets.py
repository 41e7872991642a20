"""Code, tracebacks and logs as people paste them beside a question; written for this project."""

from __future__ import annotations

_SEPARATOR = "\n====\n"

SNIPPETS = tuple(
    r"""
```python
def total(orders):
    result = 0
    for order in orders:
        result += order["price"] * order["count"]
    return result
```
====
```python
class Cache:
    def __init__(self, size=128):
        self.size = size
        self.items = {}

    def get(self, key, default=None):
        return self.items.get(key, default)
```
====
```
df = pd.read_csv("sales.csv")
df.groupby("region")["amount"].mean().plot()
```
====
```js
async function load(id) {
  const res = await fetch(`/api/users/${id}`);
  if (!res.ok) throw new Error(res.status);
  return res.json();
}
```
====
```jsx
function Counter() {
  const [n, setN] = useState(0);
  useEffect(() => { document.title = n; });
  return <button onClick={() => setN(n + 1)}>{n}</button>;
}
```
====
```ts
interface User { id: number; name?: string }
const byId = (users: User[]) => new Map(users.map(u => [u.id, u]));
```
====
```sql
SELECT c.name, COUNT(o.id) AS orders
FROM customers c LEFT JOIN orders o ON o.customer_id = c.id
WHERE o.created_at > '2024-01-01'
GROUP BY c.name HAVING COUNT(o.id) > 3;
```
====
```c
char *copy(const char *s) {
    char *out = malloc(strlen(s));
    strcpy(out, s);
    return out;
}
```
====
```cpp
std::vector<int> v{3, 1, 2};
for (auto it = v.begin(); it != v.end(); ++it)
    if (*it == 1) v.erase(it);
```
====
```java
public static void main(String[] args) {
    Map<String, Integer> ages = new HashMap<>();
    System.out.println(ages.get("anna").intValue());
}
```
====
```rust
fn longest(words: Vec<String>) -> &str {
    words.iter().max_by_key(|w| w.len()).unwrap()
}
```
====
```go
for _, u := range urls {
    go func() { results <- fetch(u) }()
}
```
====
```bash
#!/bin/bash
for f in *.log; do
  grep -c ERROR "$f" >> counts.txt
done
```
====
```yaml
services:
  web:
    image: nginx:1.25
    ports: ["8080:80"]
    depends_on: [db]
```
====
```html
<div class="row"><p class="left">one</p><p class="right">two</p></div>
<style>.row { display: flex; } .right { margin-left: auto; }</style>
```
====
Traceback (most recent call last):
  File "app.py", line 41, in <module>
    main()
  File "app.py", line 17, in main
    user = users[name]
KeyError: 'bob'
====
Traceback (most recent call last):
  File "/srv/app/views.py", line 88, in post
    amount = int(form["amount"])
ValueError: invalid literal for int() with base 10: '12,50'
====
Exception in thread "main" java.lang.NullPointerException
    at com.shop.Cart.total(Cart.java:23)
    at com.shop.Main.main(Main.java:9)
====
TypeError: Cannot read properties of undefined (reading 'map')
    at List (List.jsx:12:18)
    at renderWithHooks (react-dom.development.js:14985:18)
====
main.cpp:14:9: error: no matching function for call to 'std::vector<int>::push_back(std::string&)'
   14 |         v.push_back(name);
      |         ^
====
error[E0502]: cannot borrow `list` as mutable because it is also borrowed as immutable
 --> src/main.rs:6:5
====
2024-03-02 11:04:17 INFO  worker-3 started
2024-03-02 11:04:19 WARN  retrying connection to db:5432 (attempt 4)
2024-03-02 11:04:31 ERROR timeout after 12000 ms
====
[error] 31#31: *884 connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.0.7
====
$ git push origin main
 ! [rejected]        main -> main (non-fast-forward)
error: failed to push some refs
====
npm ERR! code ERESOLVE
npm ERR! ERESOLVE unable to resolve dependency tree
""".strip().split(_SEPARATOR)
)
