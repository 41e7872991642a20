// Decisions: the latest requests as they end, chosen by what was decided.

import {get} from "./api.js";
import {h} from "./dom.js";
import {clock, count, duration, threshold} from "./format.js";
import {attempt, every} from "./poll.js";

export const title = "Decisions";

const MOST = 500;
// So many answers go by before the names to choose from are asked for again.
const NAMES = 10;
const FIELDS = ["category", "reason", "model", "key"];
const COLUMNS = [
    ["UTC", "code", one => clock(one.at)],
    ["Text", "text", (one, texts) => prompt(texts?.[one.text_hash])],
    ["Reason", null, one => one.reason ? [one.reason, why(one)] : h("span", {class: "quiet", title: one.error}, one.error)],
    ["Category", null, one => one.category],
    ["Score", "number", score],
    ["Model", null, one => one.model],
    ["Asked for", null, one => one.asked],
    ["Key", null, one => one.key],
    ["Status", "number", one => h("span", {class: one.status >= 500 ? "bad" : one.status >= 400 ? "warn" : null}, `${one.status}`)],
    ["First byte", "number", one => duration(one.first_byte_ms)],
    ["Whole", "number", one => duration(one.ms)],
    ["Request", "code quiet", one => one.request_id],
];

export function open(main) {
    let newest = 0, held = false, past = false, answers = 0, epoch = 0;
    const chosen = {};
    const rows = h("tbody", {});
    const told = h("p", {class: "quiet"});
    const fields = Object.fromEntries(FIELDS.map(field => [field, h("select", {
        onchange: event => choose(field, event.currentTarget.value),
    }, h("option", {value: "any"}, "any"))]));
    const pause = h("button", {type: "button", "aria-pressed": "false", onclick: () => past ? begin() : hold(!held)}, "Pause");
    const older = h("button", {type: "button", disabled: true, onclick: () => attempt(showOlder)}, "Older");

    const asking = every(2, async () => {
        const asked = epoch, names = answers++ % NAMES === 0;
        if (held) {
            return;
        }
        const found = await get(`/decisions?${query({after: newest, limit: MOST, ...(names ? {names} : {})})}`);
        if (names) {
            FIELDS.forEach(field => offer(fields[field], found.names[field]));
        }
        if (asked !== epoch) {
            return;
        }
        newest = found.latest;
        list.classList.toggle("textless", found.texts === null);
        rows.prepend(...found.decisions.map(one => row(one, found.texts)));
        while (rows.rows.length > MOST) {
            rows.lastChild.remove();
        }
        tell(`of the last ${count(found.kept)}`);
    });

    function query(more) {
        return new URLSearchParams({...more, ...chosen});
    }

    function tell(which) {
        told.textContent = rows.rows.length ? `${count(rows.rows.length)} ${which}` : "None so far";
        older.disabled = rows.rows.length < MOST;
    }

    function choose(field, value) {
        if (value === "any") {
            delete chosen[field];
        } else {
            chosen[field] = value.slice(1);
        }
        begin();
    }

    // Shows the newest ones.
    function begin() {
        newest = 0;
        past = false;
        rows.replaceChildren();
        older.disabled = true;
        hold(false);
    }

    function hold(on) {
        epoch += 1;
        held = on;
        pause.setAttribute("aria-pressed", String(on));
        if (!on) {
            asking();
        }
    }

    async function showOlder() {
        hold(true);
        past = true;
        const before = rows.lastChild.dataset.number;
        const found = await get(`/decisions?${query({before, limit: MOST})}`);
        rows.replaceChildren(...found.decisions.map(one => row(one, found.texts)));
        tell("older ones");
    }

    const list = h("table", {class: "dense textless"},
        h("caption", {class: "hidden"}, "Decisions, the newest first"),
        h("thead", {}, h("tr", {}, COLUMNS.map(([name, kind]) => h("th", {class: kind, scope: "col"}, name)))),
        rows);
    main.append(
        h("div", {class: "title"}, h("h1", {}, title), told),
        h("div", {class: "panel"},
            h("div", {class: "fields"},
                FIELDS.map(field => h("label", {}, field[0].toUpperCase() + field.slice(1), fields[field])), pause, older),
            h("div", {class: "scroll tall"}, list)));
    return asking.stop;
}

function row(one, texts) {
    return h("tr", {"data-number": one.number},
        COLUMNS.map(([, kind, cell]) => h("td", {class: kind}, cell(one, texts) ?? "")));
}

const prompt = text => text && h("span", {title: text}, text);

// The score, and what it was compared with.
function score(one) {
    const [least, origin] = one.threshold ?? [];
    return [one.confidence?.toFixed(3), origin && h("span", {class: "quiet", title: origin}, ` of ${threshold(least)}`)];
}

function why(one) {
    const notes = [
        one.missed && `${one.missed[0]} below ${threshold(one.missed[1])}`,
        one.missed && one.threshold && `by ${one.threshold[1]}`,
        one.near && `near: ${one.near[0]} (${one.near[1].toFixed(2)})`,
        one.would && `would be ${one.would}`,
        one.rule,
        one.arm === one.reason ? null : one.arm,
        one.shadow && `in shadow ${one.shadow}`,
    ].filter(Boolean);
    return notes.length ? h("span", {class: "quiet"}, ` ${notes.join(", ")}`) : null;
}

// Offers names with their counts; what is chosen stays.
function offer(select, names) {
    const chosen = select.value;
    if (document.activeElement === select) {
        return;
    }
    const known = Object.entries(names);
    if (chosen !== "any" && !(chosen.slice(1) in names)) {
        known.push([chosen.slice(1), 0]);
    }
    select.replaceChildren(
        h("option", {value: "any"}, "any"),
        ...known.map(([name, many]) => h("option", {value: `=${name}`}, `${name || "none"} (${count(many)})`)));
    select.value = chosen;
}
