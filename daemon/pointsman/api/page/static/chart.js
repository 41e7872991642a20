// Small charts of our own.

import {pattern, swatch} from "./colors.js";
import {h, svg} from "./dom.js";
import {clock, minute} from "./format.js";

const HEIGHT = 208, TOP = 10, FOOT = 20;
const MINUTE = 60, HOUR = 3600;
const STEPS = [MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR];
const NICE = [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10];
// In a slot that has just begun, little says nothing of the whole.
const MIN_PART = 0.3;
// Narrower slots have no edges.
const MIN_EDGED = 6;
let charts = 0;

// A chart over time: `draw` shows series, each with a `name`, a `look` and `values` by slot, either stacked or as `lines`.
// `form` makes text of a value. The values of a slot are read with the pointer, and by arrow keys; they are said aloud.
export function timeline(label, form, lines = false) {
    const number = ++charts;
    const drawing = svg("svg", {"aria-hidden": "true", height: HEIGHT});
    const readout = h("div", {class: "readout", hidden: true}), said = h("p", {class: "hidden", "aria-live": "polite"});
    const element = h("div", {
        class: "plot", tabindex: "0", role: "group", "aria-roledescription": "chart",
        "aria-label": `${label}. Arrow keys read the values.`,
        onpointermove: follow, onpointerdown: follow, onpointerleave: leave,
        onkeydown: key, onfocus: () => element.matches(":focus-visible") && point(last(), true), onblur: leave,
    }, drawing, readout, said);
    let data = null, place = null, at = null;

    const last = () => data === null ? 0 : data.slots - 1;

    function follow(event) {
        if (place !== null) {
            const x = event.clientX - drawing.getBoundingClientRect().left;
            point(Math.floor((x - place.left) / place.width * data.whole));
        }
    }

    function leave() {
        at = null;
        mark();
    }

    function point(slot, aloud = false) {
        if (place === null || data.slots < 1) {
            return;
        }
        at = data.start + data.step * Math.max(0, Math.min(last(), slot));
        mark(aloud);
    }

    function key(event) {
        const now = at === null ? last() : (at - data.start) / data.step;
        const to = {
            ArrowLeft: now - 1, ArrowRight: now + 1, PageUp: now - 10, PageDown: now + 10, Home: 0, End: last(),
        }[event.key];
        if (to !== undefined) {
            event.preventDefault();
            point(to, true);
        } else if (event.key === "Escape") {
            leave();
        }
    }

    // Shows the values of the slot that is pointed at.
    function mark(aloud) {
        const cursor = drawing.querySelector(".cursor"), slot = at === null ? -1 : Math.round((at - data.start) / data.step);
        readout.hidden = slot < 0;
        cursor?.toggleAttribute("hidden", slot < 0);
        if (slot < 0) {
            return;
        }
        const left = place.left + place.width * slot / data.whole, wide = place.width / data.whole;
        cursor?.setAttribute("x", left);
        cursor?.setAttribute("width", Math.max(1, wide));
        const when = data.step < MINUTE ? clock : minute;
        const title = `${when(at)}–${when(Math.min(at + data.step, data.now))}`;
        const found = data.series.map(one => [one, one.values[slot]]).filter(([, value]) => value).sort((a, b) => b[1] - a[1]);
        const all = lines ? null : form(found.reduce((sum, [, value]) => sum + value, 0));
        readout.replaceChildren(
            h("p", {}, title, all && h("strong", {}, ` ${all}`)),
            h("ul", {class: found.length > 8 ? "two" : null}, found.map(
                ([one, value]) => h("li", {}, swatch(one.look), h("span", {}, one.name), h("b", {}, form(value))))));
        readout.classList.toggle("right", left < place.left + place.width / 2);
        if (aloud) {
            said.textContent = `${title}${all ? ` ${all}` : ""}: ${
                found.map(([one, value]) => `${one.name} ${form(value)}`).join(", ") || "nothing"}`;
        }
    }

    function render() {
        const width = element.clientWidth;
        if (data === null || width === 0) {
            return;
        }
        const {series, slots} = data;
        const sums = new Array(slots).fill(0);
        const tops = lines ? [] : series.map(one => one.values.map((value, slot) => sums[slot] += value));
        const found = Math.max(...lines ? series.flatMap(one => one.values) : sums, 0), most = found || 1;
        const step = nice(most / 3), marks = [];
        for (let value = step; value <= found; value += step) {
            marks.push(value);
        }
        const left = 10 + 6.2 * Math.max(1, ...marks.map(value => form(value).length));
        place = {left, width: width - left - 1};
        const x = slot => left + place.width * slot / data.whole;
        const y = value => HEIGHT - FOOT - (HEIGHT - FOOT - TOP) * value / (1.04 * most);
        const zeros = new Array(slots).fill(0);
        const shapes = series.flatMap((one, index) => lines
            ? [svg("path", {class: `line ${one.look}`, d: polyline(one.values, x, y)})]
            : areas(one.look, steps(tops[index], index ? tops[index - 1] : zeros, x, y)));
        drawing.classList.toggle("tight", place.width / data.whole < MIN_EDGED);
        drawing.setAttribute("width", width);
        drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
        drawing.replaceChildren(
            patterns(number),
            ...marks.map(value => svg("line", {class: "grid-line", x1: left, x2: width, y1: y(value), y2: y(value)})),
            ...shapes,
            svg("rect", {class: "cursor", y: TOP, height: HEIGHT - FOOT - TOP, hidden: true}),
            svg("line", {class: "axis", x1: left, x2: width, y1: y(0), y2: y(0)}),
            ...marks.map(value => svg("text", {class: "y", x: left - 6, y: y(value) + 4}, form(value))),
            svg("text", {class: "y", x: left - 6, y: y(0) + 1}, "0"),
            ...times(left, width));
        mark();
    }

    function areas(classes, d) {
        const fine = pattern(classes);
        return [svg("path", {class: `area ${classes}`, d}), fine ? svg("path", {d, fill: `url(#p${number}-${fine})`}) : null]
            .filter(Boolean);
    }

    // Ticks at round times, as many as there is room for.
    function times(left, width) {
        const seconds = data.whole * data.step, room = Math.max(2, Math.floor(place.width / 70));
        const step = STEPS.find(one => seconds / one <= room) ?? STEPS.at(-1), found = [];
        for (let time = Math.ceil(data.start / step) * step; time < data.start + seconds; time += step) {
            const across = left + place.width * (time - data.start) / seconds;
            if (across > left + 14 && across < width - 16) {
                found.push(svg("line", {class: "axis", x1: across, x2: across, y1: HEIGHT - FOOT, y2: HEIGHT - FOOT + 4}),
                    svg("text", {class: "x", x: across, y: HEIGHT - 4}, minute(time)));
            }
        }
        return found;
    }

    new ResizeObserver(render).observe(element);
    return {
        element,
        // What the newest slot counts is as if the whole of it were so; while too little of it is over, it waits for more.
        draw(series, start, step, now) {
            const whole = Math.max(1, ...series.map(one => one.values.length)), part = (now - start) / step - whole + 1;
            const before = series.some(one => one.values.slice(0, -1).some(Boolean));
            const slots = part < MIN_PART && before ? whole - 1 : whole;
            const grown = value => lines || value === null ? value : value / Math.min(1, Math.max(MIN_PART, part));
            data = {
                start, step, now, whole, slots,
                series: series.map(one => ({
                    ...one, values: one.values.slice(0, slots).map((value, slot) => slot === whole - 1 ? grown(value) : value),
                })),
            };
            if (at !== null && at < start) {
                at = start;
            }
            render();
        },
    };
}

function nice(least) {
    const scale = 10 ** Math.floor(Math.log10(least));
    return scale * NICE.find(one => one * scale >= least * 0.9999);
}

// Stripes and dots over a color, as in `.p1` to `.p4` of the style.
function patterns(number) {
    const made = (fine, size, ...shapes) => svg("pattern", {
        id: `p${number}-${fine}`, width: size, height: size, patternUnits: "userSpaceOnUse", class: "over",
    }, shapes);
    const stroke = d => svg("path", {d});
    return svg("defs", {},
        made(1, 6, stroke("M-1 1L1 -1M0 6L6 0M5 7L7 5")),
        made(2, 6, stroke("M-1 5L1 7M0 0L6 6M5 -1L7 1")),
        made(3, 5, stroke("M0 2.5H5")),
        made(4, 6, stroke("M0 3H6M3 0V6")));
}

// The outline of steps from below to above, both by slot.
function steps(above, below, x, y) {
    const [left, top, bottom] = [x, slot => y(above[slot]), slot => y(below[slot])].map(
        value => slot => value(slot).toFixed(1));
    let path = "";
    for (let first = 0, slot = 0; slot <= above.length; slot++) {
        const empty = slot === above.length || above[slot] === below[slot];
        if (!empty) {
            continue;
        }
        if (slot > first) {
            path += `M${left(first)} ${bottom(first)}`;
            for (let each = first; each < slot; each++) {
                path += `V${top(each)}H${left(each + 1)}`;
            }
            for (let each = slot - 1; each >= first; each--) {
                path += `V${bottom(each)}H${left(each)}`;
            }
            path += "Z";
        }
        first = slot + 1;
    }
    return path;
}

// A line through the middles of the slots that have a value; one alone is a dot.
function polyline(values, x, y) {
    let path = "", before = null;
    values.forEach((value, slot) => {
        if (value !== null) {
            const point = `${x(slot + 0.5).toFixed(1)} ${y(value).toFixed(1)}`;
            path += before === null ? `M${point}h.01` : `L${point}`;
        }
        before = value;
    });
    return path;
}

// A bar in a cell: a share of the whole, and perhaps a limit that it should reach.
export function bar(share, limit) {
    const place = part => `${(100 * Math.max(0, Math.min(1, part))).toFixed(1)}%`;
    return svg("svg", {"aria-hidden": "true", preserveAspectRatio: "none"},
        svg("rect", {width: place(share), height: "100%", rx: "1", class: share < limit ? "under" : null}),
        limit === undefined ? null : svg("line", {x1: place(limit), x2: place(limit), y1: "0", y2: "100%"}));
}

// A bar of several parts beside each other: [share, look] pairs.
export function parts(shares) {
    let from = 0;
    return svg("svg", {"aria-hidden": "true", preserveAspectRatio: "none"}, shares.map(([share, classes]) => {
        const [x, width] = [from, share].map(part => `${(100 * part).toFixed(2)}%`);
        from += share;
        return svg("rect", {x, width, height: "100%", class: `area ${classes}`});
    }));
}
