// What each client key used, in all and by model.

import {parts} from "./chart.js";
import {look, named, place} from "./colors.js";
import {h, table} from "./dom.js";
import {count, percent, short} from "./format.js";

const MAX_ROWS = 12;
const FIELDS = ["requests", "failed", "prompt_tokens", "completion_tokens"];

// The table; `opened` has the keys whose models are shown, each behind "key ", and "keys" where all are wanted.
export function usage(found, opened, redraw) {
    const keys = new Map();
    for (const one of found) {
        const total = keys.get(one.key) ?? {key: one.key, models: [], ...Object.fromEntries(FIELDS.map(name => [name, 0]))};
        FIELDS.forEach(name => { total[name] += one[name]; });
        total.models.push(one);
        keys.set(one.key, total);
    }
    const all = [...keys.values()].sort((a, b) => b.requests - a.requests);
    const shown = opened.has("keys") ? all : all.slice(0, MAX_ROWS);
    const rows = shown.flatMap(one => opened.has(`key ${one.key}`)
        ? [one, ...one.models.sort((a, b) => b.requests - a.requests)] : [one]);
    const most = Math.max(...all.map(one => one.requests), 1);

    function toggle(key) {
        const name = `key ${key}`;
        if (!opened.delete(name)) {
            opened.add(name);
        }
        redraw();
    }

    const name = one => one.models ? h("button", {
        type: "button", class: "unfold", "aria-expanded": String(opened.has(`key ${one.key}`)), "data-key": `key ${one.key}`,
        onclick: () => toggle(one.key),
    }, one.key) : named(one.model);
    const mix = one => one.models && parts([...one.models].sort((a, b) => place(a.model) - place(b.model)).map(
        each => [each.requests / most, look(each.model)]));
    const many = field => ({kind: "number", cell: one => one[field] ? short(one[field]) : "–"});
    return [
        table("Usage by key and model", [
            {name: "Key", kind: "name", cell: name},
            {name: "Models", kind: "bar", cell: mix},
            {name: "Requests", kind: "number", cell: one => count(one.requests)},
            {name: "5xx", kind: "number", cell: one => one.failed ? percent(one.failed, one.requests) : "–"},
            {...many("prompt_tokens"), name: "Tokens in"},
            {...many("completion_tokens"), name: "out"},
        ], rows, "", false, one => one.models ? null : "part"),
        shown.length < all.length ? h("button", {
            type: "button", class: "more", "data-key": "keys", onclick: () => { opened.add("keys"); redraw(); },
        }, `All ${count(all.length)} keys`) : null,
    ].filter(Boolean);
}
