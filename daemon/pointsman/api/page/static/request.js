// One request: all that the log has of it, or what the list has.

import {get} from "./api.js";
import {bar} from "./chart.js";
import {named} from "./colors.js";
import {facts, h, table} from "./dom.js";
import {duration} from "./format.js";

// The log's fields that have another name here, or their own. All others stand after those of the decision.
const REQUEST = {
    request_id: "Id", path: "Path", ts: "Ended", key: "Key", client: "Client", original_model: "Asked for",
    endpoint: "Endpoint", status: "Status", left_in: "The client left in", error: "Error", retried: "Retried",
    prompt_tokens: "Prompt tokens", completion_tokens: "Answer tokens", trace_id: "Trace",
};
const DECISION = {
    selected_model: "Model", category: "Category", reason: "Reason", confidence: "Score", threshold: "Threshold",
    threshold_origin: "Threshold by", missed: "Missed", near: "Near", rule: "Rule", would: "Would be",
    shadow: "In shadow", arm: "Arm", draw: "Draw", conversation: "Conversation", turn: "Turn", ask: "Ask found",
    ask_spans: "Ask, by character", edited: "Edits", system_prompt: "System prompt",
};
const HIDDEN = new Set(["level", "event", "ms"]);

// The elements that show a request of the list: what the log has, if the service still has that line in memory.
export async function opened(one, text) {
    let told;
    try {
        told = await get(`/request?${new URLSearchParams({id: one.request_id})}`);
    } catch (error) {
        if (error.status === 401) {
            throw error;
        }
        return [note(`What the list has of the request (${error.message}):`), ...shown(summary(one), text)];
    }
    const line = told.requests.find(each => each.status === one.status && Math.abs(Date.parse(each.ts) - 1000 * one.at) < 2);
    return line ? shown(line, text) : [absent(one.request_id, told), ...shown(summary(one), text)];
}

// The elements that show what is known of an id that is in no list.
export async function looked(id) {
    const told = await get(`/request?${new URLSearchParams({id})}`);
    return told.requests.length ? told.requests.flatMap(line => shown(line)) : [absent(id, told)];
}

const note = (...said) => h("p", {class: "quiet"}, said);

function absent(id, told) {
    const command = told.log === "journal" ? `journalctl -u pointsman -o cat | pointsman why ${id} -`
        : `pointsman why ${id} ${told.log ?? "LOG"}`;
    return note(told.logged ? "Of the log’s lines that the service has in memory, none is of this request. Older ones: "
        : "The service writes no lines of requests (log.requests or log.level). Older ones: ",
    h("code", {}, command), told.log ? "" : ", where LOG is what the service wrote to stderr");
}

function shown(line, text) {
    const known = {...REQUEST, ...DECISION};
    const more = Object.keys(line).filter(name => !(name in known) && !HIDDEN.has(name));
    const decided = {...DECISION, ...Object.fromEntries(more.map(name => [name, words(name)]))};
    return [h("div", {class: "grid details"},
        text ? h("pre", {class: "message", tabindex: "0", role: "region", "aria-label": "The text"}, text) : null,
        part("Request", line, REQUEST), part("Decision", line, decided), times(line.ms ?? {}))];
}

function part(name, line, names) {
    const pairs = Object.entries(names).filter(([field]) => line[field] !== undefined && line[field] !== null);
    return pairs.length === 0 ? null
        : h("section", {}, h("h2", {}, name), facts(pairs.map(([field, title]) => [title, value(field, line[field])])));
}

function value(field, one) {
    switch (field) {
    case "selected_model":
        return named(one);
    case "ts":
        return one.replace("T", " ").replace("+00:00", " UTC");
    case "ask_spans":
        return one.map(([what, start, end]) => `${what} ${start}–${end}`).join(", ");
    default:
        return said(one);
    }
}

// A value in words: an object as its names and values.
function said(one) {
    if (Array.isArray(one)) {
        return one.map(said).join("; ");
    }
    if (one !== null && typeof one === "object") {
        return Object.entries(one).map(([name, part]) => `${name} ${said(part)}`).join(", ");
    }
    return one === true ? "yes" : one === false ? "no" : String(one ?? "–");
}

const words = name => (name[0]?.toUpperCase() ?? "") + name.slice(1).replaceAll("_", " ");

function times(ms) {
    const rows = Object.entries(ms), most = Math.max(...Object.values(ms), 0.001);
    return rows.length === 0 ? null : h("section", {}, table("Time", [
        {name: "Phase", cell: ([name]) => words(name)},
        {name: "", kind: "bar", cell: ([, taken]) => bar(taken / most)},
        {name: "", kind: "number", cell: ([, taken]) => duration(taken)},
    ], rows, ""));
}

// What the list has, as the log would tell it.
function summary(one) {
    const [threshold, origin] = one.threshold ?? [];
    const pair = (found, name) => found && {category: found[0], [name]: found[1]};
    return {
        request_id: one.request_id, path: one.path, ts: new Date(1000 * one.at).toISOString().replace("Z", "+00:00"),
        key: one.key, original_model: one.asked, endpoint: one.endpoint, status: one.status, error: one.error,
        selected_model: one.model, category: one.category, reason: one.reason, confidence: one.confidence,
        threshold, threshold_origin: origin, missed: pair(one.missed, "threshold"), near: pair(one.near, "confidence"),
        rule: one.rule, would: one.would, shadow: one.shadow, arm: one.arm, text_hash: one.text_hash,
        ms: {...(one.first_byte_ms === null ? {} : {first_byte: one.first_byte_ms}), total: one.ms},
    };
}
