// Compare: the two sides of each experiment, what shadow and holdback kept back, and the classifier in shadow.

import {get} from "./api.js";
import {bar} from "./chart.js";
import {facts, h, show, table} from "./dom.js";
import {count, day, duration, percent, rate, sum} from "./format.js";
import {every} from "./poll.js";
import {watch} from "./status.js";

export const title = "Compare";

export function open(main) {
    const found = h("div", {class: "grid"});
    const [withheld, shadow] = Array.from({length: 2}, () => h("div", {class: "panel half", hidden: true}));
    const missing = Array.from({length: 3}, () => h("p", {class: "quiet"}));
    const put = (where, some, line, parts) => {
        where.hidden = !some;
        line.hidden = some;
        show(where, ...some ? parts() : []);
    };
    const asking = every(10, async () => {
        const {experiments, withheld: all, currency} = await get("/experiments");
        missing[0].textContent = "No experiment: no category has a canary, and no share of the traffic is held back.";
        put(found, experiments.length > 0, missing[0], () => experiments.map(one => experiment(one, currency)));
        missing[1].textContent = "No request was kept from the model that was chosen.";
        put(withheld, all.length > 0, missing[1], () => [kept(all)]);
    });
    const unwatch = watch(({shadow: other}) => {
        missing[2].textContent = "No classifier in shadow: classifier.shadow names no artifact.";
        put(shadow, Boolean(other), missing[2], () => second(other));
    });
    main.append(
        h("div", {class: "title"}, h("h1", {}, title),
            h("p", {class: "quiet"}, "Since the start of the service; the log has more: pointsman compare")),
        found,
        h("div", {class: "grid"}, withheld, shadow),
        ...missing);
    return () => {
        asking.stop();
        unwatch();
    };
}

function experiment(one, currency) {
    const of = one.category === null ? "all categories" : one.category;
    const name = one.kind === "canary" ? `Canary ${one.adapter} in ${of}` : `Routed and held back in ${of}`;
    const when = one.ended === null ? `${rate(one.percent)} % since ${day(one.started)} UTC`
        : `${rate(one.percent)} % from ${day(one.started)} to ${day(one.ended)} UTC, when it ended`;
    const certain = one.verdicts.length
        ? one.verdicts.map(verdict => h("li", {class: "state good"}, verdict))
        : h("li", {class: "state quiet"}, "Not enough yet: no difference is certain");
    const [first, second] = one.sides;
    const labels = Object.keys(first.labels);
    const rated = one.sides.some(side => side.good + side.bad > 0 || side.score) || labels.length;
    const rows = [
        ["Requests", side => count(side.requests)],
        ["Conversations", side => count(side.conversations)],
        ["Failed", side => side.failed && range(side.failed, value => percent(value, 1))],
        ["First byte, mean", side => range(side.first_byte_ms, duration)],
        ["Completion tokens", side => range(side.tokens, count)],
        currency ? [`${currency} for 1,000`, side => range(side.cost, value => (1000 * value).toFixed(2))] : null,
        rated ? ["Authors of feedback", side => count(side.authors)] : null,
        rated ? ["Feedback", side => `${count(side.good)} good, ${count(side.bad)} bad`] : null,
        rated ? ["Score, mean", side => range(side.score, value => value.toFixed(2))] : null,
        ...labels.map(name => [`Labeled ${name === "*" ? "otherwise" : name}`,
            side => range(side.labels[name], value => percent(value, 1))]),
    ].filter(Boolean);
    const ratio = one.first_byte_ratio;
    return h("div", {class: "panel half"},
        table(name, [
            {name: "By conversation", cell: ([label]) => label},
            ...one.sides.map(side => ({name: side.name, kind: "number", cell: ([, cell]) => cell(side) ?? "–"})),
        ], rows, ""),
        h("ul", {class: "verdicts"}, certain),
        h("p", {class: "quiet"}, when, ratio ? `. First byte, ${first.name} over ${second.name}: ${ratio.value.toFixed(2)} `
            + `(${ratio.low.toFixed(2)} to ${ratio.high.toFixed(2)} at all times together)` : ""));
}

function range(found, form) {
    return found && [form(found.value), h("span", {class: "quiet range"}, ` (${form(found.low)} to ${form(found.high)})`)];
}

function kept(rows) {
    const all = sum(rows.map(row => row.requests));
    return table("Kept back by shadow and holdback", [
        {name: "Would be", kind: "name", cell: row => row.model},
        {name: "Category", cell: row => row.category},
        {name: "Reason", cell: row => row.reason},
        {name: "", kind: "bar", cell: row => bar(row.requests / (all || 1))},
        {name: "Requests", kind: "number", cell: row => count(row.requests)},
        {name: "Share", kind: "number", cell: row => percent(row.requests, all)},
    ], rows);
}

function second(found) {
    const share = one => one.share === null ? "–"
        : range({value: one.share, low: one.low, high: one.high}, value => percent(value, 1));
    const bad = found.state === "stopped";
    return [
        h("h2", {}, "Classifier in shadow"),
        facts([
            ["Artifact", found.artifact],
            ["State", [h("span", {class: `state ${bad ? "bad" : "good"}`}, found.state), found.error ? ` ${found.error}` : ""]],
            ["Compared", `${count(found.compared)} texts, ${count(found.waiting)} waiting, ${count(found.shed)} shed, ${count(found.failed)} failed`],
            ["Agree", share(found.agreed)],
            ["Another model", share(found.rerouted)],
            ["Confidence", found.confidence_difference === null ? "–"
                : `${found.confidence_difference > 0 ? "+" : ""}${found.confidence_difference.toFixed(3)} in shadow`],
        ]),
        table("Where they differ", [
            {name: "Now", cell: pair => pair.category ?? "default"},
            {name: "In shadow", cell: pair => pair.shadow ?? "default"},
            {name: "", kind: "bar", cell: pair => bar(pair.texts / Math.max(...found.pairs.map(one => one.texts)))},
            {name: "Texts", kind: "number", cell: pair => count(pair.texts)},
        ], found.pairs.slice(0, 20), "Nowhere so far"),
    ];
}
