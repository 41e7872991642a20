// What stands in the address: a view's name, and behind it what it is to show, as in `#now?range=15m`. It survives a
// reload, and can be linked.

export const view = () => location.hash.slice(1).split("?")[0];

export const wanted = () => new URLSearchParams(location.hash.split("?")[1] ?? "");

export function link(name, fields) {
    const query = new URLSearchParams(fields).toString();
    return query ? `#${name}?${query}` : `#${name}`;
}
