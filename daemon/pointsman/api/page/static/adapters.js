// Adapters: the categories that texts describe, who is near whom, the examples that were added here, and unrouted adapters.

import {get} from "./api.js";
import {bar} from "./chart.js";
import {named} from "./colors.js";
import {h, show, table} from "./dom.js";
import {count, percent, sum} from "./format.js";
import {unrouted} from "./models.js";
import {change, every} from "./poll.js";
import {watch} from "./status.js";

export const title = "Adapters";

const SECONDS = 5, MAX_NEAR = 3;

export function open(main) {
    let told = null, near = null, requests = new Map(), drawn = "";
    const opened = new Set();
    const panel = () => h("div", {class: "panel", hidden: true});
    const [listed, kept, others] = [panel(), panel(), panel()];
    const judged = h("p", {class: "quiet", role: "status"}), said = h("p", {class: "bad", role: "alert"});

    async function undo(id) {
        said.textContent = "";
        main.setAttribute("aria-busy", "true");
        try {
            said.textContent = await change("/adapters/examples/undo", {id});
        } finally {
            main.removeAttribute("aria-busy");
        }
        refresh();
    }

    // What is the same stays as it is: the keyboard's focus is in it.
    function draw() {
        const now = JSON.stringify([told, near, [...requests], [...opened]]);
        if (told === null || now === drawn) {
            return;
        }
        drawn = now;
        judged.textContent = verdict(told, near);
        listed.hidden = false;
        show(listed, categories(told, near?.found, requests, opened, draw));
        kept.hidden = told.kept.length === 0;
        show(kept, added(told.kept, undo));
    }

    const refresh = every(SECONDS, async () => {
        const [found, judged, traffic] = await Promise.all(
            [get("/adapters/described"), get("/adapters/near"), get("/traffic/hour")]);
        told = found;
        near = judged.key === found.key ? judged : null; // else the config has changed meanwhile
        requests = new Map(traffic.categories.map(one => [one.name, sum(one.counts)]));
        draw();
    });
    const unwatch = watch(status => {
        const found = unrouted(status);
        others.hidden = found.length === 0;
        show(others, ...found);
    });
    main.append(h("div", {class: "title"}, h("h1", {}, title), judged), said,
        h("div", {class: "rows"}, listed, kept, others));
    return () => { refresh.stop(); unwatch(); };
}

function verdict(told, near) {
    if (told.key === null) {
        return "";
    }
    if (near?.state === "failed") {
        return `The examples could not be judged: ${near.error}`;
    }
    return near?.state !== "done" ? "The examples are being judged"
        : `Of ${count(near.found.judged)} examples, each judged without itself, ${count(near.found.strays.length)} go elsewhere`;
}

function categories(told, judged, requests, opened, redraw) {
    const found = judged ?? {strays: [], pairs: []}, all = sum([...requests.values()]);
    const strays = new Map(told.categories.map(one => [one.name, []]));
    found.strays.forEach(one => strays.get(one.category)?.push(one));
    const near = ({name}) => found.pairs.filter(({names}) => names.includes(name)).slice(0, MAX_NEAR).map(
        ({names, share}) => h("span", {class: "sample"}, names[0] === name ? names[1] : names[0],
            h("span", {class: "quiet"}, ` ${share.toFixed(2)}`)));
    const unfold = ({name, examples}) => examples.length ? [
        h("button", {
            type: "button", class: "unfold", "data-key": name, "aria-expanded": String(opened.has(name)),
            "aria-label": `${count(examples.length)} examples of ${name}`,
            onclick: () => { opened.delete(name) || opened.add(name); redraw(); },
        }, count(examples.length)),
        opened.has(name) ? listing(examples, strays.get(name)) : null] : "none";
    return table("Described categories", [
        {name: "Category", kind: "name", cell: one => [one.name, h("div", {class: "quiet"}, one.adapters.map(each => h("div", {}, named(each))))]},
        {name: "Description", kind: "wide", cell: one => one.descriptions.map(text => h("span", {class: "sample"}, text))},
        {name: "Examples", kind: "wide", cell: unfold},
        {name: "Astray", kind: "number", cell: one => strays.get(one.name).length ? count(strays.get(one.name).length) : "–"},
        {name: "Nearest", cell: near},
        {name: "", kind: "bar roomy", cell: one => bar((requests.get(one.name) ?? 0) / (all || 1))},
        {name: "Share, last hour", kind: "number", cell: one => percent(requests.get(one.name) ?? 0, all)},
    ], told.categories, "No category is described by texts");
}

// The examples, with where those go that are not their category's when it is judged without them.
function listing(examples, strays) {
    const away = new Map(strays.map(one => [one.position, one.chosen ?? "no category"]));
    return h("ul", {}, examples.map((text, place) => h("li", {class: "sample"}, text,
        away.has(place) ? h("span", {class: "warn"}, ` → ${away.get(place)}`) : null)));
}

function added(rows, undo) {
    return table("Examples added on this page", [
        {name: "Category", kind: "name", cell: one => one.category},
        {name: "Example", kind: "wide", cell: one => [one.text, one.idle ? h("div", {class: "warn"}, `does not count: ${one.idle}`) : null]},
        {name: "", kind: "number", cell: one => h("button", {type: "button", "data-key": one.id, onclick: () => undo(one.id)}, "Undo")},
    ], rows, "");
}
