// Small charts of our own.

import {h, svg} from "./dom.js";
import {minute, rate, sum} from "./format.js";

const COLOURS = 8;

// Of more series than colours, the last are one: `series` have a `name` and `counts`, the greatest first.
export function merged(series) {
    if (series.length <= COLOURS) {
        return series;
    }
    const rest = series.slice(COLOURS - 1);
    const counts = rest[0].counts.map((_, place) => sum(rest.map(one => one.counts[place])));
    return [...series.slice(0, COLOURS - 1), {name: `${rest.length} others`, counts, colour: COLOURS - 1}];
}

const colours = {};

// The number of a name's colour in charts of a kind, which it keeps; the last colour is that of what has no name.
export function colour(kind, name) {
    const known = colours[kind] ??= new Map();
    if (!known.has(name)) {
        known.set(name, known.size % (COLOURS - 1));
    }
    return known.get(name);
}

// Stacked counts over time, each with its `colour`. `label` says in words what the chart shows.
export function stacked(series, start, step, now, label) {
    const slots = series[0]?.counts.length ?? 0;
    const base = new Array(slots).fill(0);
    const tops = series.map(one => one.counts.map((value, place) => base[place] += value));
    const most = Math.max(...base, 1);
    const paths = tops.map((top, place) => svg("path", {
        class: `f${series[place].colour}`,
        d: steps(top, place ? tops[place - 1] : new Array(slots).fill(0), most),
    }));
    return h("div", {class: "plot"},
        svg("svg", {viewBox: `0 0 ${slots || 1} 100`, preserveAspectRatio: "none", role: "img", "aria-label": label}, paths),
        h("span", {class: "most"}, slots ? `${rate(60 * most / step)} / min` : ""),
        h("div", {class: "ends"}, h("span", {}, minute(start)), h("span", {}, `${minute(now)} UTC`)));
}

// The outline of steps from below to above, both by slot.
function steps(above, below, most) {
    const y = value => (100 - 94 * value / most).toFixed(2);
    let path = "";
    for (let first = 0, slot = 0; slot <= above.length; slot++) {
        const empty = slot === above.length || above[slot] === below[slot];
        if (!empty) {
            continue;
        }
        if (slot > first) {
            path += `M${first} ${y(below[first])}`;
            for (let place = first; place < slot; place++) {
                path += `V${y(above[place])}H${place + 1}`;
            }
            for (let place = slot - 1; place >= first; place--) {
                path += `V${y(below[place])}H${place}`;
            }
            path += "Z";
        }
        first = slot + 1;
    }
    return path;
}

// A bar in a cell: a share of the whole, and perhaps a limit that it should reach.
export function bar(share, limit) {
    const place = part => `${(100 * Math.max(0, Math.min(1, part))).toFixed(1)}%`;
    return svg("svg", {"aria-hidden": "true", preserveAspectRatio: "none"},
        svg("rect", {width: place(share), height: "100%", rx: "1", class: share < limit ? "under" : null}),
        limit === undefined ? null : svg("line", {x1: place(limit), x2: place(limit), y1: "0", y2: "100%"}));
}
