// Now: the traffic of the last hour or day, endpoints, adapters, classifier, errors.

import {get} from "./api.js";
import {bar, colour, merged, stacked} from "./chart.js";
import {choice, facts, h, show, table} from "./dom.js";
import {clock, count, duration, minute, percent, rate, routing, sum} from "./format.js";
import {every} from "./poll.js";
import {watch} from "./status.js";

export const title = "Now";

const WINDOWS = [["hour", "Last hour"], ["day", "Last 24 hours"]];
// With any other reason, the model that was chosen for the question does not answer, or none was chosen.
const CHOSEN = new Set(["classified", "sticky", "rule", "explicit_model"]);

export function open(main) {
    let chosen = "hour", traffic = null, told = null;
    const when = h("p", {class: "quiet"});
    const panel = kind => h("div", {class: `panel ${kind ?? ""}`});
    const tiles = h("dl", {class: "panel tiles"});
    const splits = [["Category", "categories", "none"], ["Reason", "reasons"], ["Model", "models"]].map(
        split => [panel("third"), split]);
    const [scores, latency, endpoints, classifier, errors] = [panel("third"), panel(), panel(), panel("third"), panel("two-thirds")];

    function showTiles() {
        if (traffic !== null && told !== null) {
            show(tiles, ...figures(traffic, told));
        }
    }

    const asking = every(10, async () => {
        traffic = await get(`/traffic/${chosen}`);
        when.textContent = `since ${minute(traffic.start)} UTC`;
        showTiles();
        splits.forEach(([place, split]) => show(place, ...byName(traffic, ...split)));
        show(scores, confidence(traffic.confidence));
        show(latency, times(traffic.latency));
    });
    const failing = every(10, async () => show(errors, failures((await get("/errors")).errors)));
    const unwatch = watch(status => {
        told = status;
        showTiles();
        show(endpoints, upstream(told.endpoints));
        show(classifier, ...engine(told));
    });

    main.append(
        h("div", {class: "title"}, h("h1", {}, title), choice("Window", WINDOWS, chosen, value => {
            chosen = value;
            asking();
        }), when),
        h("div", {class: "grid"},
            tiles,
            splits.map(([place]) => place),
            scores,
            h("div", {class: "stack two-thirds"}, latency, endpoints),
            classifier,
            errors));
    return () => {
        asking.stop();
        failing.stop();
        unwatch();
    };
}

function figures(traffic, told) {
    const seconds = Math.max(Math.min(traffic.now - traffic.start, told.uptime_s), 60);
    const by = name => sum(traffic[name].flatMap(one => one.counts));
    const requests = by("statuses"), decisions = by("reasons");
    const failed = sum(traffic.statuses.filter(one => one.name >= "500").flatMap(one => one.counts));
    const chosen = sum(traffic.reasons.filter(one => CHOSEN.has(one.name)).flatMap(one => one.counts));
    const last = sum(traffic.statuses.map(one => one.counts.at(-2)));
    const tile = (name, value, aside, kind) => h("div", {},
        h("dt", {}, name), h("dd", {class: kind}, value, aside ? h("small", {}, ` ${aside}`) : null));
    return [
        tile("Requests", count(requests)),
        tile("A minute", rate(60 * last / traffic.step_s), `mean ${rate(60 * requests / seconds)}`),
        tile("Server errors", percent(failed, requests), count(failed), failed ? "bad" : null),
        tile("Fallbacks", percent(decisions - chosen, decisions), count(decisions - chosen)),
        tile("In flight", count(told.in_flight), told.held ? `${count(told.held)} held` : null),
        tile("Classifier queue", count(told.classifier.queued), null, told.classifier.queued ? "warn" : null),
        tile("A run, p95", duration(told.traffic.run_ms.p95), "15 min"),
    ];
}

function byName(traffic, name, field, unnamed) {
    const rows = merged(traffic[field]).map(one => ({
        colour: colour(field, one.name), ...one, name: one.name || unnamed, total: sum(one.counts),
    }));
    const all = sum(rows.map(row => row.total));
    const by = name.toLowerCase();
    const said = rows.slice(0, 3).map(row => `${row.name} ${percent(row.total, all)}`).join(", ");
    return [
        h("h2", {}, `By ${by}`),
        stacked(rows, traffic.start, traffic.step_s, traffic.now, `Requests over time by ${by}: ${said || "none"}`),
        table(`Requests by ${by}`, [
            {name, cell: row => [h("span", {class: `swatch c${row.colour}`}), row.name]},
            {name: "Requests", kind: "number", cell: row => count(row.total)},
            {name: "Share", kind: "number", cell: row => percent(row.total, all)},
        ], rows, "No routed request in this time", true),
    ];
}

function confidence({bounds, counts}) {
    const most = Math.max(...counts), all = sum(counts);
    const rows = bounds.map((bound, place) => ({from: bounds[place - 1] ?? 0, bound, count: counts[place]})).reverse();
    return table("Confidence", [
        {name: "Score", kind: "code", cell: row => `${row.from.toFixed(2)}–${row.bound.toFixed(2)}`},
        {name: "", kind: "bar", cell: row => bar(row.count / (most || 1))},
        {name: "Requests", kind: "number", cell: row => count(row.count)},
        {name: "Share", kind: "number", cell: row => percent(row.count, all)},
    ], all ? rows : [], "Nothing was classified in this time");
}

function times(rows) {
    const most = Math.max(...rows.map(row => row.first_byte?.p95_ms ?? 0), 1);
    return table("Latency by model", [
        {name: "Model", kind: "name", cell: row => row.model},
        {name: "Requests", kind: "number", cell: row => count(row.whole.requests)},
        {name: "First byte, p50", kind: "number", cell: row => duration(row.first_byte?.p50_ms)},
        {name: "p95", kind: "number", cell: row => duration(row.first_byte?.p95_ms)},
        {name: "", kind: "bar", cell: row => bar((row.first_byte?.p95_ms ?? 0) / most)},
        {name: "Whole, p50", kind: "number", cell: row => duration(row.whole.p50_ms)},
        {name: "p95", kind: "number", cell: row => duration(row.whole.p95_ms)},
    ], rows, "No model was asked in this time");
}

function upstream(found) {
    return table("Endpoints", [
        {name: "Endpoint", kind: "name", cell: one => one.endpoint},
        {name: "State", cell: condition},
        {name: "Breaker", cell: one => h("span", {class: one.breaker === "open" ? "bad" : null}, one.breaker)},
        {name: "In flight", kind: "number", cell: one => count(one.in_flight)},
        {name: "Adapters", kind: "wide", cell: one => adapters(one.adapters)},
    ], found, "The config has no endpoint");
}

function condition(one) {
    const bad = one.reachable ? one.key_accepted ? one.up ? null : "failing" : "key refused" : "down";
    return h("span", {class: `state ${bad ? "bad" : "good"}`}, bad ?? "up");
}

function adapters(found) {
    return found.map((one, place) => [
        place ? ", " : "",
        one.name,
        one.state === "served" ? "" : h("span", {class: "warn"}, ` (${one.state})`),
    ]);
}

function engine(told) {
    const one = told.classifier, cache = one.cache, texts = cache.hits + cache.misses + cache.coalesced;
    return [
        h("h2", {}, "Classifier and routing"),
        facts([
            ["Artifact", `${one.artifact}, ${one.precision}`],
            ["State", h("span", {class: `state ${one.healthy ? "good" : "bad"}`}, one.healthy ? "works" : "stopped")],
            ["Waiting", count(one.queued)],
            ["From the cache", `${percent(cache.hits + cache.coalesced, texts)} of ${count(texts)} texts`],
            ["A run", `${duration(told.traffic.run_ms.p50)} p50, ${duration(told.traffic.run_ms.p95)} p95`],
            ["Routing", h("span", {class: told.routing.overridden ? "warn" : null}, routing(told.routing))],
            ["Config", told.config.reload_failed ? h("span", {class: "bad"}, "the last reload failed")
                : `generation ${told.config.generation}`],
        ]),
    ];
}

function failures(found) {
    return table("Last errors", [
        {name: "UTC", kind: "code", cell: one => clock(one.at)},
        {name: "Status", kind: "number", cell: one => h("span", {class: one.status >= 500 ? "bad" : "warn"}, `${one.status}`)},
        {name: "Error", kind: "wide", cell: one => [one.error, h("div", {class: "code quiet"}, one.request_id)]},
        {name: "Model", cell: one => one.model ?? one.asked},
        {name: "Endpoint", cell: one => one.endpoint},
        {name: "Path", cell: one => one.path},
    ], found, "No error since the start of the service");
}
