// Now: the traffic of the last minutes, hour or day, models, errors, usage by key, endpoints and the classifier.

import * as address from "./address.js";
import {get} from "./api.js";
import {bar, timeline} from "./chart.js";
import {look, named, place, swatch} from "./colors.js";
import {choice, facts, h, show, table} from "./dom.js";
import {clock, count, day, duration, minute, percent, rate, routing, sum} from "./format.js";
import {models, states, troubles, unrouted} from "./models.js";
import {every} from "./poll.js";
import {watch} from "./status.js";
import {usage} from "./usage.js";

export const title = "Now";

const RANGES = [["5m", "5 min"], ["15m", "15 min"], ["hour", "Hour"], ["day", "24 hours"]];
const SPLITS = [["models", "Models"], ["failed", "Errors"], ["categories", "Categories"], ["reasons", "Reasons"]];
const TITLES = {
    models: "Requests a minute by model", failed: "Server errors (5xx) a minute by model",
    categories: "Requests a minute by category", reasons: "Requests a minute by reason",
};
// With any other reason, the model that was chosen for the question does not answer, or none was chosen.
const CHOSEN = new Set(["classified", "sticky", "rule", "explicit_model"]);
const MAX_CHARTED = 16;

// What was chosen last, for who comes back by a link without it.
let range = "hour", split = "models";

export function open(main) {
    choose(range, split);
    let traffic = null, told = null, errors = null;
    const opened = new Set();
    const panel = kind => h("div", {class: `panel ${kind ?? ""}`, hidden: true});
    const [alerts, charted, timed, listed, failures, used, categories, reasons, scores] = Array.from({length: 9}, () => panel());
    const [endpoints, classifier, tiles] = [panel(), panel(), h("dl", {class: "panel tiles", hidden: true})];
    charted.classList.add("wider");
    const when = h("p", {class: "quiet"}), missing = h("p", {class: "quiet missing"});
    const legend = h("ul", {class: "legend"}), slowest = h("ul", {class: "legend"});
    const perMinute = value => value > 0 && value < 10 ? String(Math.round(10 * value) / 10) : count(value);
    const requests = timeline("Requests a minute", perMinute);
    const firstByte = timeline("Median of the first byte", duration, true);
    const ranges = h("div"), splits = h("div"), heading = h("h2");
    charted.append(h("div", {class: "heading"}, heading, splits), requests.element, legend);
    timed.append(h("h2", {}, "First byte, median"), firstByte.element, slowest);

    // What is chosen goes into the address, and comes back from there.
    const go = (wanted, by) => { location.hash = address.link("now", {range: wanted, by}); };

    function turn() {
        if (address.view() === "now") {
            choose("hour", "models");
            offer();
            asking();
        }
    }

    function offer() {
        show(ranges, choice("Range", RANGES, range, value => go(value, split)));
        show(splits, choice("By", SPLITS, split, value => go(range, value)));
    }

    // Shows parts where there is something to show, and nothing else.
    function put(where, some, parts) {
        where.hidden = !some;
        if (some) {
            show(where, ...parts());
        }
    }

    function draw() {
        if (told === null) {
            return;
        }
        const troubled = troubles(told);
        put(alerts, troubled.length > 0, () => [h("ul", {class: "alerts"}, troubled)]);
        put(endpoints, true, () => [upstream(told.endpoints)]);
        put(classifier, true, () => engine(told));
        if (traffic === null) {
            return;
        }
        when.textContent = `since ${(traffic.step_s < 60 ? clock : minute)(traffic.start)} UTC`;
        const known = states(told), some = traffic.statuses.length > 0;
        put(tiles, true, () => figures(traffic, told));
        drawCharts(some);
        const table = [...models(traffic.models, known, opened, draw), ...unrouted(told)];
        put(listed, table.length > 0, () => table);
        put(used, traffic.usage.length > 0, () => usage(traffic.usage, opened, draw));
        put(categories, traffic.categories.length > 0, () => [shares("Category", traffic.categories, "none")]);
        put(reasons, traffic.reasons.length > 0, () => [shares("Reason", traffic.reasons)]);
        put(scores, sum(traffic.confidence.counts) > 0, () => [confidence(traffic.confidence)]);
        put(failures, errors?.length > 0, () => [grouped(errors, traffic.start)]);
        missing.textContent = [
            some ? null : "No request in this time.",
            errors?.length === 0 ? "No error since the start of the service." : null,
        ].filter(Boolean).join(" ");
    }

    function drawCharts(some) {
        const {start, step_s: step, now} = traffic;
        const series = some ? layers(traffic, split) : [];
        charted.hidden = !some;
        heading.textContent = TITLES[split];
        requests.draw(series.map(one => ({...one, values: one.counts.map(value => 60 * value / step)})), start, step, now);
        show(legend, ...series.length ? series.map(one => h("li", {}, swatch(one.look), one.name))
            : [h("li", {class: "quiet"}, split === "failed" ? "No server error in this time" : "No routed request in this time")]);
        const times = traffic.first_byte_ms.filter(one => one.medians.some(value => value !== null)).map(
            one => ({name: one.name, look: look(one.name), values: one.medians}));
        timed.hidden = times.length === 0;
        firstByte.draw(times, start, step, now);
        const latest = times.map(one => [one, one.values.findLast(value => value !== null)]).sort((a, b) => b[1] - a[1]);
        show(slowest, h("li", {class: "quiet"}, "Slowest now:"), ...latest.slice(0, 3).map(
            ([one, value]) => h("li", {}, swatch(one.look), `${one.name} ${duration(value)}`)));
    }

    offer();
    window.addEventListener("hashchange", turn);
    const asking = every(10, async () => {
        [traffic, {errors}] = await Promise.all([get(`/traffic/${range}`), get("/errors")]);
        draw();
    });
    const unwatch = watch(status => {
        told = status;
        draw();
    });

    main.append(
        h("div", {class: "title"}, h("h1", {}, title), ranges, when),
        h("div", {class: "rows"},
            alerts, tiles, row(charted, timed), listed, failures, row(used, endpoints),
            row(categories, h("div", {class: "stack"}, reasons, classifier), scores), missing));
    return () => {
        window.removeEventListener("hashchange", turn);
        asking.stop();
        unwatch();
    };
}

// Takes what the address says, or else this.
function choose(wanted, by) {
    const fields = address.wanted(), known = (options, value) => options.some(([one]) => one === value);
    range = known(RANGES, fields.get("range")) ? fields.get("range") : wanted;
    split = known(SPLITS, fields.get("by")) ? fields.get("by") : by;
}

const row = (...panels) => h("div", {class: "row"}, panels);

// What the large chart stacks, the config's first model at the bottom: names that are few are one, and come last.
function layers(traffic, split) {
    if (split === "models" || split === "failed") {
        const found = traffic[split === "models" ? "requests" : "failed"];
        return found.map(one => one.name === null ? {...one, name: `${one.models} others`, look: "gray"} : {...one, look: look(one.name)})
            .sort((a, b) => (a.look === "gray") - (b.look === "gray") || place(a.name) - place(b.name));
    }
    const found = traffic[split], shown = found.slice(0, MAX_CHARTED), rest = found.slice(MAX_CHARTED);
    const layer = (one, number) => ({...one, name: one.name || "none", look: one.name ? `c${number % 12} p${number < 12 ? 0 : 1}` : "gray"});
    return [...shown.map(layer), ...rest.length ? [{
        name: `${rest.length} others`, look: "gray",
        counts: rest[0].counts.map((_, slot) => sum(rest.map(one => one.counts[slot]))),
    }] : []];
}

function figures(traffic, told) {
    const seconds = Math.max(Math.min(traffic.now - traffic.start, told.uptime_s), 60);
    const by = name => sum(traffic[name].flatMap(one => one.counts));
    const requests = by("statuses"), decisions = by("reasons"), first = traffic.first_byte;
    const failed = sum(traffic.statuses.filter(one => one.name >= "500").flatMap(one => one.counts));
    const chosen = sum(traffic.reasons.filter(one => CHOSEN.has(one.name)).flatMap(one => one.counts));
    const slots = Math.max(1, 60 / traffic.step_s); // the last whole minute
    const last = sum(traffic.statuses.flatMap(one => one.counts.slice(-1 - slots, -1)));
    const tile = (name, value, aside, kind) => h("div", {},
        h("dt", {}, name), h("dd", {class: kind}, value, aside ? h("small", {}, ` ${aside}`) : null));
    return [
        tile("Requests", count(requests)),
        tile("A minute", rate(60 * last / (slots * traffic.step_s)), `mean ${rate(60 * requests / seconds)}`),
        tile("Server errors", percent(failed, requests), count(failed), failed ? "bad" : null),
        tile("First byte", duration(first?.p50_ms), first ? `p95 ${duration(first.p95_ms)}` : null),
        tile("Fallbacks", percent(decisions - chosen, decisions), count(decisions - chosen)),
        tile("In flight", count(told.in_flight), told.held ? `${count(told.held)} held` : null),
        tile("Classifying, p95", duration(told.traffic.run_ms.p95), "15 min"),
    ];
}

function shares(name, series, unnamed) {
    const rows = series.map(one => ({name: one.name || unnamed, total: sum(one.counts)}));
    const all = sum(rows.map(row => row.total));
    return table(`Requests by ${name.toLowerCase()}`, [
        {name, kind: "name", cell: row => row.name},
        {name: "", kind: "bar", cell: row => bar(row.total / (all || 1))},
        {name: "Requests", kind: "number", cell: row => count(row.total)},
        {name: "Share", kind: "number", cell: row => percent(row.total, all)},
    ], rows, "");
}

function confidence({bounds, counts}) {
    const most = Math.max(...counts), all = sum(counts);
    const rows = bounds.map((bound, place) => ({from: bounds[place - 1] ?? 0, bound, count: counts[place]})).reverse();
    return table("Confidence", [
        {name: "Score", kind: "code", cell: row => `${row.from.toFixed(2)}–${row.bound.toFixed(2)}`},
        {name: "", kind: "bar", cell: row => bar(row.count / (most || 1))},
        {name: "Requests", kind: "number", cell: row => count(row.count)},
        {name: "Share", kind: "number", cell: row => percent(row.count, all)},
    ], rows, "");
}

function upstream(found) {
    return table("Endpoints", [
        {name: "Endpoint", kind: "name", cell: one => one.endpoint},
        {name: "State", cell: condition},
        {name: "Breaker", kind: "roomy", cell: one => h("span", {class: one.breaker === "open" ? "bad" : null}, one.breaker)},
        {name: "In flight", kind: "number", cell: one => count(one.in_flight)},
        {name: "Adapters", kind: "wide", cell: one => adapters(one.adapters)},
    ], found, "The config has no endpoint");
}

function condition(one) {
    const bad = one.reachable ? one.key_accepted ? one.up ? null : "failing" : "key refused" : "down";
    return h("span", {class: `state ${bad ? "bad" : "good"}`}, bad ?? "up");
}

// How many adapters an endpoint serves, and the first of those that it does not.
function adapters(found) {
    const others = found.filter(one => one.state !== "served"), more = others.length - MAX_CHARTED;
    return [
        `${count(found.length - others.length)} of ${count(found.length)} served`,
        others.slice(0, MAX_CHARTED).map(one => [", ", one.name, h("span", {class: "warn"}, ` (${one.state})`)]),
        more > 0 ? ` and ${count(more)} more` : null,
    ];
}

function engine(told) {
    const one = told.classifier, cache = one.cache, texts = cache.hits + cache.misses + cache.coalesced;
    return [
        h("h2", {}, "Classifier and routing"),
        facts([
            ["Artifact", `${one.artifact}, ${one.precision}`],
            ["State", h("span", {class: `state ${one.healthy ? "good" : "bad"}`}, one.healthy ? "works" : "stopped")],
            ["Waiting", h("span", {class: one.queued ? "warn" : null}, count(one.queued))],
            ["From the cache", `${percent(cache.hits + cache.coalesced, texts)} of ${count(texts)} texts`],
            ["A run", `${duration(told.traffic.run_ms.p50)} p50, ${duration(told.traffic.run_ms.p95)} p95`],
            ["Routing", h("span", {class: told.routing.overridden ? "warn" : null}, routing(told.routing))],
            ["Config", told.config.reload_failed ? h("span", {class: "bad"}, "the last reload failed")
                : `generation ${told.config.generation}`],
        ]),
    ];
}

// Errors by what they are; those before the range are pale.
function grouped(found, start) {
    const names = (counts, shown) => {
        const [first, ...rest] = Object.entries(counts).sort((a, b) => b[1] - a[1]);
        return first && h("span", {title: Object.entries(counts).map(([name, many]) => `${name} ${count(many)}`).join(", ")},
            shown(first[0]), rest.length ? h("span", {class: "quiet"}, ` and ${count(rest.length)} more`) : null);
    };
    const told = one => one.error ?? (Object.keys(one.endpoints).length ? "vLLM answered with this status" : "–");
    const list = table("Last errors", [
        {name: "Newest", kind: "code newest", cell: one => clock(one.at)},
        {name: "Status", kind: "number status", cell: one => h("span", {class: one.status >= 500 ? "bad" : "warn"}, `${one.status}`)},
        {name: "Error", kind: "wide", cell: told},
        {name: "Times", kind: "number times", cell: one => [
            count(one.times), one.times > 1 ? h("span", {class: "quiet"}, ` since ${since(one.since)}`) : null]},
        {name: "Model", kind: "model", cell: one => names(one.models, named)},
        {name: "Key", kind: "key", cell: one => names(one.keys, name => name)},
        {name: "Example", kind: "code example", cell: one => h("a", {
            href: `#decisions?${new URLSearchParams({id: one.request_id})}`, title: one.request_id,
            "data-key": `${one.status} ${one.error}`,
        }, one.request_id.length > 12 ? `${one.request_id.slice(0, 8)}…` : one.request_id)},
    ], found, "", false, one => one.at < start ? "past" : null);
    list.classList.add("errors");
    return list;
}

const since = time => Date.now() / 1000 - time < 43_200 ? minute(time) : day(time).slice(5);
