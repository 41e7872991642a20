// Decisions: the latest requests as they end, chosen by what stands in the address; each opens to all that is known of it.

import * as address from "./address.js";
import {get} from "./api.js";
import {named} from "./colors.js";
import {h} from "./dom.js";
import {clock, count, duration, threshold} from "./format.js";
import {attempt, every} from "./poll.js";
import {looked, opened} from "./request.js";

export const title = "Decisions";

const MAX_ROWS = 500;
// After this many answers, the names to choose from are asked for again.
const NAMES = 10;
const MENUS = ["model", "reason", "category", "key", "status"];
const FEEDBACK = "/v1/feedback";
const COLUMNS = [
    ["UTC", "when"],
    ["Model", "model"],
    ["Why", "why"],
    ["Category", "category"],
    ["Score", "score number"],
    ["Key", "key"],
    ["Text", "text"],
    ["Status", "status number"],
    ["Whole", "whole number"],
];

export function open(main) {
    let newest = 0, held = false, past = false, reading = false, answers = 0, epoch = 0, wanted = {}, which = "";
    const known = new WeakMap(); // what each row shows
    const rows = h("tbody", {onclick: pressed});
    const told = h("p", {class: "quiet"});
    const place = h("div", {class: "found", hidden: true});
    const menus = Object.fromEntries(MENUS.map(name => [name, h("select", {onchange: go}, h("option", {value: "any"}, "any"))]));
    const id = h("input", {type: "search", maxlength: "128", spellcheck: "false", autocomplete: "off", onchange: go, onsearch: go});
    const clear = h("a", {href: address.link("decisions")}, "Clear");
    const pause = h("button", {type: "button", "aria-pressed": "false", onclick: () => past ? begin() : hold(!held)}, "Pause");
    const older = h("button", {type: "button", disabled: true, onclick: () => attempt(showOlder)}, "Older");

    const asking = every(2, async () => {
        const asked = epoch, names = answers++ % NAMES === 0;
        if (held) {
            return;
        }
        const found = await answer({after: newest, limit: MAX_ROWS, ...(names ? {names} : {})});
        if (found === null) {
            return;
        }
        if (names) {
            MENUS.forEach(name => offer(menus[name], found.names[name], name === "status"));
        }
        if (asked !== epoch) {
            return;
        }
        if (found.latest < newest) { // another process
            begin();
            return;
        }
        const first = newest === 0;
        newest = found.latest;
        put(found, true);
        tell(`of the last ${count(found.kept)}`);
        if (first && wanted.id !== undefined) {
            await showOne(asked);
        }
    });

    // Asks for decisions; what cannot be asked for is said where they would stand.
    async function answer(more) {
        const asked = epoch;
        try {
            return await get(`/decisions?${new URLSearchParams({...more, ...wanted})}`);
        } catch (error) {
            if (error.status !== 400) {
                throw error;
            }
            if (asked === epoch) {
                told.textContent = error.message;
            }
            return null;
        }
    }

    // Of an id, shows all that is known.
    async function showOne(asked) {
        const found = decisions();
        if (found.length === 1) {
            await toggle(found[0]);
        } else if (found.length === 0) {
            const elements = await looked(wanted.id);
            if (asked === epoch) {
                beside(...elements);
            }
        }
    }

    function beside(...elements) {
        place.replaceChildren(...elements);
        place.hidden = elements.length === 0;
    }

    const decisions = () => [...rows.rows].filter(row => known.has(row));

    function put(found, above) {
        list.classList.toggle("textless", found.texts === null);
        const made = found.decisions.map(one => {
            const text = found.texts?.[one.text_hash];
            const row = line(one, text);
            known.set(row, {one, text});
            return row;
        });
        if (made.length > 0) {
            beside();
        }
        if (above) {
            rows.prepend(...made);
        } else {
            rows.replaceChildren(...made);
        }
        for (const row of decisions().slice(MAX_ROWS)) {
            shut(row);
            row.remove();
        }
    }

    function tell(now = which) {
        const many = decisions().length, held = reading ? ", held while one is open" : "";
        which = now;
        told.textContent = many ? `${count(many)} ${which}${held}` : `None ${Object.keys(wanted).length ? which : "so far"}`;
        older.disabled = many < MAX_ROWS;
    }

    // What is chosen goes into the address, and comes back from there.
    function go() {
        const chosen = MENUS.filter(name => menus[name].value !== "any").map(name => [name, menus[name].value.slice(1)]);
        location.hash = address.link("decisions", id.value.trim() ? [...chosen, ["id", id.value.trim()]] : chosen);
    }

    function turn() {
        const fields = address.wanted();
        wanted = Object.fromEntries([...MENUS, "id"].filter(name => fields.has(name)).map(name => [name, fields.get(name)]));
        MENUS.forEach(name => choose(menus[name], name in wanted ? `=${wanted[name]}` : "any"));
        id.value = wanted.id ?? "";
        clear.hidden = Object.keys(wanted).length === 0;
        begin();
    }

    // Shows the newest ones.
    function begin() {
        newest = 0;
        past = reading = false;
        rows.replaceChildren();
        beside();
        older.disabled = true;
        hold(false);
    }

    function hold(on) {
        epoch += 1;
        held = on;
        reading = false;
        pause.setAttribute("aria-pressed", String(on));
        if (!on) {
            asking();
        }
    }

    async function showOlder() {
        hold(true);
        past = true;
        const found = await answer({before: known.get(decisions().at(-1)).one.number, limit: MAX_ROWS});
        if (found !== null) {
            put(found, false);
            tell("older ones");
        }
    }

    function pressed(event) {
        const row = event.target.closest("tr");
        if (known.has(row) && String(getSelection()) === "") {
            attempt(() => toggle(row));
        }
    }

    // Opens or closes a row. While one is open the list is held, so that it stays where it is.
    async function toggle(row) {
        if (shut(row)) {
            if (reading && rows.querySelector(".opened") === null) {
                hold(false);
            }
            return;
        }
        if (!held) {
            hold(true);
            reading = true;
            tell();
        }
        const {one, text} = known.get(row), name = `opened-${one.number}`;
        const cell = h("td", {colspan: COLUMNS.length - list.classList.contains("textless")}, h("p", {class: "quiet"}, "asking"));
        const button = row.querySelector("button");
        button.setAttribute("aria-expanded", "true");
        button.setAttribute("aria-controls", name);
        row.after(h("tr", {class: "opened", id: name}, cell));
        const only = h("p", {}, h("a", {href: address.link("decisions", {id: one.request_id})}, "Only this request"));
        cell.replaceChildren(...await opened(one, text), wanted.id === one.request_id ? "" : only);
    }

    function shut(row) {
        if (!row.nextSibling?.classList.contains("opened")) {
            return false;
        }
        row.nextSibling.remove();
        const button = row.querySelector("button");
        button.setAttribute("aria-expanded", "false");
        button.removeAttribute("aria-controls");
        return true;
    }

    const list = h("table", {class: "log textless"},
        h("caption", {class: "hidden"}, "Decisions, the newest first"),
        h("thead", {}, h("tr", {}, COLUMNS.map(([name, kind]) => h("th", {class: kind, scope: "col"}, name)))),
        rows);
    const label = name => name[0].toUpperCase() + name.slice(1);
    main.append(
        h("div", {class: "title"}, h("h1", {}, title), told),
        h("div", {class: "panel"},
            h("div", {class: "fields filters"},
                MENUS.map(name => h("label", {}, label(name), menus[name])), h("label", {}, "Id", id), pause, older, clear),
            place,
            h("div", {class: "scroll tall"}, list)));
    window.addEventListener("hashchange", turn);
    turn();
    return () => {
        asking.stop();
        window.removeEventListener("hashchange", turn);
    };
}

function line(one, text) {
    const cells = [
        h("button", {type: "button", class: "open", "aria-expanded": "false"}, clock(one.at)),
        one.model ? named(one.model) : h("span", {class: "quiet"}, one.asked),
        why(one),
        one.category,
        score(one),
        one.key,
        text,
        h("span", {class: one.status >= 500 ? "bad" : one.status >= 400 ? "warn" : null}, `${one.status}`),
        duration(one.ms),
    ];
    const titles = {1: one.model, 3: one.category, 5: one.key, 6: text};
    return h("tr", {}, cells.map((cell, place) => h("td", {class: COLUMNS[place][1], title: titles[place]}, cell)));
}

// The score, and what it was compared with.
function score(one) {
    const [least, origin] = one.threshold ?? [];
    return [one.confidence?.toFixed(3), origin && h("span", {class: "quiet", title: origin}, ` of ${threshold(least)}`)];
}

function why(one) {
    const notes = [
        one.error,
        one.missed && `${one.missed[0]} below ${threshold(one.missed[1])}`,
        one.missed && one.threshold && `by ${one.threshold[1]}`,
        one.near && `near: ${one.near[0]} (${one.near[1].toFixed(2)})`,
        one.would && `would be ${one.would}`,
        one.rule,
        one.arm === one.reason ? null : one.arm,
        one.shadow && `in shadow ${one.shadow}`,
    ].filter(Boolean);
    const what = one.reason ?? (one.path === FEEDBACK ? "feedback" : one.error ? null : one.path);
    return [what, notes.length ? h("span", {class: "quiet", title: notes.join(", ")}, ` ${notes.join(", ")}`) : null];
}

// Offers names with their counts, of statuses with their classes; what is chosen stays.
function offer(select, names, statuses) {
    if (document.activeElement === select) {
        return;
    }
    const chosen = select.value, found = statuses ? withClasses(names) : Object.entries(names);
    select.replaceChildren(
        h("option", {value: "any"}, "any"),
        ...found.map(([name, many]) => h("option", {value: `=${name}`}, `${name || "none"} (${count(many)})`)));
    choose(select, chosen);
}

function choose(select, value) {
    if (![...select.options].some(one => one.value === value)) {
        select.append(h("option", {value}, `${value.slice(1) || "none"} (0)`));
    }
    select.value = value;
}

// The highest first, and each class before its own.
function withClasses(names) {
    const found = new Map();
    for (const [name, many] of Object.entries(names)) {
        const all = `${name[0]}xx`;
        found.set(all, (found.get(all) ?? 0) + many).set(name, many);
    }
    return [...found].sort(([one], [other]) => one < other ? 1 : -1);
}
