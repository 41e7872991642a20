// The models in a table, with what is the matter with them.

import {parts} from "./chart.js";
import {look, named, place} from "./colors.js";
import {h, table} from "./dom.js";
import {age, count, duration, percent, short, sum} from "./format.js";

const MAX_ROWS = 24;
const BAD = {failing: "bad", slow: "warn", lost: "bad", down: "bad"};
const VERBS = {failing: "fails", slow: "is slow"};

const lasting = seconds => seconds < 60 ? `${seconds} s` : age(seconds);

// Returns by name the state of each model of the config: a word, and perhaps why it is so.
export function states(told) {
    const found = new Map(told.models.map(one => [one.name, served(one, told.endpoints)]));
    for (const one of told.unwell.filter(each => each.kind === "model")) {
        found.set(one.name, {word: one.state, why: `for ${lasting(one.for_s)}: ${one.why}`});
    }
    return found;
}

function served({name, base}, endpoints) {
    const at = endpoints.flatMap(one => name === base
        ? one.base_models.includes(name) ? [[one, "served"]] : []
        : one.adapters.filter(each => each.name === name).map(each => [one, each.state]));
    const good = at.filter(([one, state]) => one.up && state === "served").length;
    if (good > 0) {
        return {word: "served", why: good < at.length ? `by ${good} of ${at.length} endpoints` : ""};
    }
    if (at.length === 0 || at.every(([, state]) => state === "unknown")) {
        return {word: "unknown", why: ""};
    }
    const state = at.find(([one]) => one.up)?.[1];
    return state === undefined ? {word: "down", why: "no endpoint that has it is up"}
        : state === "loading" || state === "unloaded" ? {word: state, why: ""}
            : {word: "lost", why: `no endpoint serves it (${state})`};
}

// What is the matter, the worst first.
export function troubles(told) {
    const line = (kind, name, text) => h("li", {class: `state ${kind}`}, h("span", {class: "told"}, h("strong", {}, name), ` ${text}`));
    const down = told.endpoints.filter(one => !one.reachable || !one.up).map(
        one => line("bad", one.endpoint, one.reachable ? "is out of use: its circuit breaker is open" : "is down"));
    const lost = [...states(told)].filter(([, one]) => one.word === "lost");
    return [
        ...down,
        ...told.unwell.map(one => line(BAD[one.state], one.name,
            `${one.kind === "endpoint" ? `has models that ${one.state === "slow" ? "are slow" : "fail"}` : VERBS[one.state]}, for ${
                lasting(one.for_s)}: ${one.why}`)),
        ...lost.slice(0, 5).map(([name, one]) => line("bad", name, `is lost: ${one.why}`)),
        lost.length > 5 ? line("bad", `${count(lost.length - 5)} more`, "are lost") : null,
    ].filter(Boolean);
}

// The table, or nothing where it is empty; `known` are states, and `opened` has "models" where all rows are wanted.
// `redraw` shows it anew.
export function models(found, known, opened, redraw) {
    const asked = new Map(found.map(one => [one.name, one]));
    const quiet = [...known].filter(([name, one]) => !asked.has(name) && one.word === "served").map(([name]) => name);
    const silent = [...known.keys()].filter(name => !asked.has(name) && !quiet.includes(name)).map(name => ({
        name, requests: 0, failed: 0, prompt_tokens: 0, completion_tokens: 0, first_byte: null, whole: null,
    }));
    const all = sum(found.map(one => one.requests)), bad = one => known.get(one.name)?.word in BAD;
    const rows = [...found, ...silent].sort((a, b) => bad(b) - bad(a) || b.requests - a.requests || place(a.name) - place(b.name));
    if (rows.length === 0) {
        return [];
    }
    const shown = opened.has("models") ? rows : rows.slice(0, MAX_ROWS);
    const state = one => known.get(one.name) ?? {word: "", why: ""};
    const time = (kind, share) => ({kind: "number", cell: one => duration(one[kind]?.[share])});
    const many = field => ({kind: "number", cell: one => one[field] ? short(one[field]) : "–"});
    return [
        table("Models", [
            {name: "Model", kind: "name first", cell: one => [named(one.name),
                bad(one) ? h("div", {class: `brief ${BAD[state(one).word]}`}, state(one).word) : null,
                state(one).why ? h("div", {class: "quiet cause"}, state(one).why) : null]},
            {name: "State", kind: "roomy", cell: one => state(one).word
                && h("span", {class: `state ${BAD[state(one).word] ?? (state(one).word === "served" ? "good" : "quiet")}`}, state(one).word)},
            {name: "Requests", kind: "number", cell: one => count(one.requests)},
            {name: "", kind: "bar roomy", cell: one => parts([[one.requests / (all || 1), look(one.name)]])},
            {name: "Share", kind: "number roomy", cell: one => percent(one.requests, all)},
            {name: "5xx", kind: "number", cell: one => one.failed ? [
                count(one.failed), h("span", {class: one.failed / one.requests >= 0.05 ? "bad" : "quiet"}, ` ${percent(one.failed, one.requests)}`)] : "–"},
            {...time("first_byte", "p50_ms"), name: "First byte, p50"},
            {...time("first_byte", "p95_ms"), name: "p95"},
            {...time("whole", "p50_ms"), name: "Whole, p50"},
            {...time("whole", "p95_ms"), name: "p95"},
            {...many("prompt_tokens"), name: "Tokens in"},
            {...many("completion_tokens"), name: "out"},
        ], shown, "", false, one => bad(one) ? "unwell" : null),
        shown.length < rows.length ? h("button", {
            type: "button", class: "more", "data-key": "models", onclick: () => { opened.add("models"); redraw(); },
        }, `All ${count(rows.length)} models`) : null,
        quiet.length ? h("p", {class: "quiet"}, `Served, and not asked in this time: ${listing(quiet)}`) : null,
    ].filter(Boolean);
}

// The adapters that no prompt reaches unless a client asks for one by its name, and what to do.
export function unrouted(told) {
    const adapters = told.endpoints.flatMap(one => one.adapters.filter(each => each.routed === false));
    const names = [...new Set(adapters.map(each => each.name))];
    return names.length ? [h("p", {class: "quiet"}, `Unrouted, as no category names them: ${listing(names)}. `,
        h("code", {}, "pointsman init --add"), " writes a category for each.")] : [];
}

const listing = names => names.slice(0, MAX_ROWS).join(", ") + (
    names.length > MAX_ROWS ? ` and ${count(names.length - MAX_ROWS)} more` : "");
