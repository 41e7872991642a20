// Builds elements. A string is always text: nothing here or elsewhere reads it as markup.

const SVG = "http://www.w3.org/2000/svg";

export function h(tag, attributes, ...children) {
    return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
    return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes ?? {})) {
        if (name.startsWith("on")) {
            element.addEventListener(name.slice(2), value);
        } else if (value !== undefined && value !== null && value !== false) {
            element.setAttribute(name, value === true ? "" : value);
        }
    }
    element.append(...children.flat(3).filter(child => child !== null && child !== undefined));
    return element;
}

// A table: each of the `columns` has a `name`, a `cell` that makes a cell's content of a row, and perhaps a `kind` (a
// class). The first column names the row. `caption` is a heading, unless `titled`: then one stands above already. `kind`
// returns the class of a row.
export function table(caption, columns, rows, empty, titled = false, kind = () => null) {
    const cell = (column, row, first) =>
        h(first ? "th" : "td", {class: column.kind, scope: first ? "row" : null}, column.cell(row) ?? "");
    const body = row => h("tr", {class: kind(row)}, columns.map((column, place) => cell(column, row, place === 0)));
    return h("div", {class: "scroll"},
        h("table", {},
            h("caption", {class: titled ? "hidden" : null}, titled ? caption : h("h2", {}, caption)),
            h("thead", {}, h("tr", {}, columns.map(one => h("th", {class: one.kind, scope: "col"}, one.name)))),
            h("tbody", {}, rows.length ? rows.map(body)
                : h("tr", {}, h("td", {class: "empty", colspan: columns.length}, empty)))));
}

// Shows these elements in place of those before, as far scrolled as they were, and with the focus on what has the same
// `data-key` as what had it.
export function show(place, ...elements) {
    const lefts = [...place.querySelectorAll(".scroll")].map(one => one.scrollLeft);
    const key = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    place.replaceChildren(...elements);
    place.querySelectorAll(".scroll").forEach((one, number) => { one.scrollLeft = lefts[number] ?? 0; });
    if (key !== undefined) {
        [...place.querySelectorAll("[data-key]")].find(one => one.dataset.key === key)?.focus();
    }
}

export function facts(pairs) {
    return h("dl", {class: "facts"}, pairs.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

// Buttons of which one is pressed: `options` are [value, text] pairs.
export function choice(label, options, chosen, choose) {
    const buttons = options.map(([value, text]) => h("button", {
        type: "button",
        "aria-pressed": String(value === chosen),
        "data-key": value,
        onclick: event => {
            buttons.forEach(button => button.setAttribute("aria-pressed", String(button === event.currentTarget)));
            choose(value);
        },
    }, text));
    return h("div", {class: "switch", role: "group", "aria-label": label}, buttons);
}
