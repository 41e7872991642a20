"""Provide real text for the agreement check: a built-in set, written for this project, or a file of the operator's."""

from __future__ import annotations

import json
from pathlib import Path

from pointsman import files
from pointsman_export.common.errors import TextsError

_MAX_FILE_BYTES = 64 << 20

_BY_DOMAIN = {
    "biology": """\
How does messenger RNA leave the nucleus?
Why do plants look green even though they absorb sunlight?
Explain the difference between mitosis and meiosis with a small table.
Which organelle makes ATP, and what happens when its membrane leaks protons?
In a cross of two heterozygous pea plants, what share of the offspring is tall?
What selective pressure keeps the sickle cell allele in a population?
how do bacteria swap genes without sex""",
    "business": """\
Draft a go-to-market plan for a small coffee roaster that wants to sell to offices.
What is the difference between gross margin and operating margin?
My supplier wants net 60 instead of net 30. What should I ask for in return?
Compare a franchise with a licence agreement for expanding abroad.
A machine costs 40,000 and saves 9,500 a year for six years; is its NPV positive at 8 %?
How should a board handle a founder who no longer wants to be chief executive?
Write three OKRs for a customer support team.""",
    "chemistry": """\
Balance this equation: Fe + O2 -> Fe2O3
What is the pH of a 0.01 M solution of hydrochloric acid?
Why does ice float on water?
Explain why benzene prefers substitution over addition.
How many grams of sodium chloride are in 250 mL of a 0.9 % solution?
Which is the stronger acid, acetic acid or trifluoroacetic acid, and why?
what happens when you mix bleach and ammonia""",
    "computer science": """\
What is the time complexity of inserting into a balanced binary search tree?
Explain how a B-tree differs from an LSM tree for write-heavy workloads.
Why can two threads deadlock even if each takes its locks in order?
Describe how TCP's congestion window grows after a lost packet.
Is the halting problem decidable for programs without loops?
How does a bloom filter answer membership queries, and when is it wrong?
my docker container exits with code 137, what does that mean""",
    "economics": """\
What happens to bond prices when the central bank raises its rate?
Explain comparative advantage with two countries and two goods.
Why might a minimum wage not reduce employment in a monopsony?
If demand is inelastic, who bears more of a sales tax?
How does quantitative easing differ from printing money?
Is a trade deficit bad for a country?
Compute the deadweight loss of a quota of 50 units when the market clears at 80.""",
    "engineering": """\
What bending moment does a 2 kN load cause in the middle of a 3 m simply supported beam?
Choose a resistor for an LED with a forward voltage of 2.1 V on a 12 V supply.
Why do turbine blades get film cooling holes?
Explain the difference between a stepper motor and a servo for a CNC axis.
How is the Nyquist plot used to judge the stability of a feedback loop?
Which weld inspection method finds cracks below the surface?
Our pump cavitates at high flow; what can we change on the suction side?""",
    "health": """\
I have had a dull headache behind one eye for three days, should I worry?
What are the side effects of metformin?
How much protein does a 70 kg adult need who trains four times a week?
Explain the difference between a viral and a bacterial sore throat.
Which vaccines does a newborn get in the first year?
My grandmother takes warfarin; may she eat spinach?
What is a normal resting heart rate for a ten year old?""",
    "history": """\
What led to the fall of the Western Roman Empire?
Why did the Hanseatic League lose its influence?
Summarise the causes of the Meiji Restoration in five sentences.
Who signed the Treaty of Tordesillas, and what did it divide?
How did the Black Death change wages in England?
Compare the French and the Haitian revolutions.
when did women get the vote in switzerland and why so late""",
    "law": """\
Can my landlord keep my deposit because of small holes in the wall?
What is the difference between a patent and a trademark?
Is a contract valid when it was signed by a sixteen year old?
Explain the doctrine of promissory estoppel with an example.
Under the GDPR, how long may a shop keep the data of former customers?
What must the prosecution prove for attempted burglary?
Draft a short non-disclosure agreement between two freelancers.""",
    "math": """\
Find all real x with x^3 - 6x^2 + 11x - 6 = 0.
What is the derivative of x^x?
Prove that the square root of 2 is irrational.
How many ways are there to seat eight people at a round table?
Evaluate the integral of e^(-x^2) over the real line.
A fair die is thrown until a six appears; what is the expected number of throws?
Show that every group of prime order is cyclic.""",
    "other": """\
What is the capital of Burkina Faso?
How do I get red wine out of a white carpet?
Suggest a three day itinerary for Lisbon with two children.
Which knot is best for tying a boat to a ring?
What should I feed a sourdough starter when I am away for two weeks?
How many players are on a water polo team?
Recommend a board game for two adults that takes under an hour.""",
    "philosophy": """\
What does Kant mean by a thing in itself?
Is it ever moral to lie to save a life?
Explain the ship of Theseus and what it says about identity.
How would a utilitarian and a virtue ethicist judge a broken promise?
What is the problem of induction?
Does free will need that I could have done otherwise?
Summarise Simone de Beauvoir's Ethics of Ambiguity for a reading group.""",
    "physics": """\
A ball is thrown upwards at 15 m/s; how high does it get?
Why is the sky blue and the sunset red?
Derive the period of a simple pendulum for small angles.
What does it mean that two photons are entangled?
How much energy does it take to heat two litres of water from 20 to 100 degrees?
Explain why a moving clock runs slow without any formulas.
What is the magnetic field in the middle of a long solenoid?""",
    "psychology": """\
What is the difference between classical and operant conditioning?
Why do people remember unfinished tasks better than finished ones?
Explain attachment theory to a new parent.
How reliable are eyewitnesses, and what makes them worse?
What does a score of 130 on an IQ test mean?
My friend avoids every conflict at work; what could help?
Describe an experiment that separates priming from expectation.""",
    "small talk": """\
hi
Good morning! How are you today?
thanks, that was helpful
lol ok
Tell me a joke about penguins.
Who are you and who made you?
I'm bored. Entertain me.
what can you do
Wish my sister a happy birthday in a funny way.
👋 anyone there?
Bonjour, peux-tu m'aider à écrire une lettre ?
Wie wird das Wetter morgen?""",
}

_CODE = """\
Why does this print None?

def add(a, b):
    a + b

print(add(1, 2))
---
SELECT c.name, COUNT(*) FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.name;

Add the customers without orders to this.
---
Traceback (most recent call last):
  File "app.py", line 12, in <module>
    config = json.load(handle)
json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)
---
fn main() {
    let words = vec![String::from("a")];
    let first = &words[0];
    drop(words);
    println!("{first}");
}

The borrow checker complains. How do I mend it?
---
Rewrite this with async/await:

fetch(url).then(r => r.json()).then(d => render(d)).catch(console.error);
---
for i in $(ls *.txt); do mv $i ${i%.txt}.md; done   # breaks on names with blanks, why?
---
```c
int *numbers(void) { int n[3] = {1, 2, 3}; return n; }
```
Is this safe?
---
Write a regular expression that matches ISO dates such as 2024-02-29 but not 2024-13-01."""


def _built_in() -> list[str]:
    by_domain = [block.splitlines() for block in _BY_DOMAIN.values()]
    long = [" ".join(lines * 3) for lines in by_domain[::3]]
    return [*(line for lines in by_domain for line in lines), *_CODE.split("\n---\n"), *long]


BUILT_IN = _built_in()
"""About 120 prompts: the 14 domains of MMLU-Pro, small talk, code, and long prompts joined from the short ones."""


def read_texts(path: Path) -> list[str]:
    """Read the texts of a file, one per line: plain, or a JSON object with `text`. Raises TextsError."""
    try:
        lines = files.read(path, _MAX_FILE_BYTES).decode().splitlines()
    except OSError as error:
        raise TextsError(f"{path}: cannot be read ({error.strerror}); name a file with one text a line") from error
    except UnicodeDecodeError as error:
        raise TextsError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); convert it") from error
    texts = [_text(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not texts:
        raise TextsError(f"{path}: holds no text; write one text a line")
    return texts


def _text(path: Path, number: int, line: str) -> str:
    """Return the text of a line.

    A line that starts with a brace but is not JSON is a plain text, since prompts contain code.
    """
    if not line.lstrip().startswith("{"):
        return line
    try:
        text = json.loads(line)["text"]
    except ValueError:
        return line
    except KeyError:
        text = None
    if not isinstance(text, str):
        raise TextsError(f'{path}:{number}: a JSON object without a string "text"; write {{"text": "..."}}')
    return text
