// Try: how the service would route a prompt or a whole request now, and why.

import {get, post} from "./api.js";
import {bar} from "./chart.js";
import {choice, facts, h, show, table} from "./dom.js";
import {count, duration, threshold} from "./format.js";
import {attempt, change} from "./poll.js";
import {watch} from "./status.js";

export const title = "Try";

const KINDS = [["prompt", "A prompt"], ["request", "A whole request"]];
const HINTS = {
    prompt: "What somebody asks, with all that a client would put around it.",
    request: "The JSON body of a request, of any of the four formats.",
};
// The steps that leave what is asked; all others leave it out.
const TAKEN = new Set(["taken", "turn", "json"]);

const NOTES = {
    "routing.precision is not reached": " (not reached)",
    "category_model.threshold: too few rows for routing.precision": " (too few rows)",
};

// A candidate is loaded before it reads its first text.
const CANDIDATE_SECONDS = 120;
const LATE = "The candidate is still loading; try again";

// What was tried stays in this tab while other views are open.
let kind = "prompt", candidate = "", described = [];
const texts = {prompt: "", request: ""};

export function open(main) {
    const hint = h("p", {class: "quiet", id: "hint"});
    const field = h("textarea", {
        id: "tried", rows: "7", spellcheck: "false", "aria-describedby": "hint",
        oninput: () => { texts[kind] = field.value; },
        onkeydown: event => event.key === "Enter" && (event.ctrlKey || event.metaKey) && tryIt(),
    });
    const said = h("p", {class: "bad", role: "alert"});
    const found = h("div", {class: "grid"}), keeping = h("div"), levels = h("div", {class: "panel"});
    const beside = h("select", {onchange: () => { candidate = beside.value; }}, h("option", {value: ""}, "nothing else"));
    const button = h("button", {type: "button", class: "main", onclick: tryIt}, "Route it");
    let tries = 0, asking = new AbortController();

    function use(chosen) {
        kind = chosen;
        field.value = texts[kind];
        hint.textContent = HINTS[kind];
    }

    // Gives up what was asked before; what comes of that is not shown.
    function leave() {
        tries += 1;
        asking.abort();
        asking = new AbortController();
    }

    // Asks, and says why there is no answer; `late` is what to say if there is none in time.
    async function answer(path, request, seconds, late) {
        const number = tries;
        let told = null;
        await attempt(async () => {
            try {
                told = await post(path, request, seconds, asking.signal);
            } catch (error) {
                if (number !== tries) {
                    return;
                }
                if (!(error.late && late) && (error.status === 401 || !error.status)) {
                    throw error;
                }
                said.textContent = error.late ? late : error.message;
            }
        });
        return told;
    }

    async function tryIt() {
        leave();
        const request = kind === "prompt" ? body(texts.prompt) : texts.request, name = candidate, number = tries;
        button.disabled = true;
        said.textContent = "";
        show(keeping);
        const told = await answer("/route", request);
        if (number !== tries) {
            return;
        }
        button.disabled = false;
        if (told === null) {
            return;
        }
        show(keeping, ...described.length && told.text ? [keep(told.ask.text)] : []);
        found.replaceChildren(...parts(told, name && {artifact: name, state: "is loaded and reads the text"}));
        if (name) {
            const other = await answer(
                `/route/candidate?${new URLSearchParams({artifact: name})}`, request, CANDIDATE_SECONDS, LATE);
            if (number === tries) {
                found.replaceChildren(...parts(told, other ?? {artifact: name, state: "did not answer"}));
            }
        }
    }

    // Offers what could serve in place of the classifier in use.
    async function offer() {
        const known = await get("/classifiers");
        const names = known.artifacts.filter(one => one.path !== known.in_use).map(one => one.name);
        if (known.promoted) {
            names.push(known.config);
        }
        candidate = names.includes(candidate) ? candidate : "";
        beside.append(...names.map(name => h("option", {value: name}, name)));
        beside.value = candidate;
        described = (await get("/adapters/described")).categories.map(one => one.name);
    }

    use(kind);
    attempt(offer);
    const unwatch = watch(status => show(levels, ...bothErrors(status.thresholds)));
    main.append(
        h("div", {class: "title"}, h("h1", {}, title), choice("What is tried", KINDS, kind, use),
            h("p", {class: "quiet"}, "Nothing is sent to vLLM, and nothing is remembered")),
        h("div", {class: "grid"},
            h("div", {class: "panel entering"},
                h("label", {for: "tried"}, "Text"), field, hint,
                h("div", {class: "fields"}, h("label", {}, "Beside the classifier in use", beside), button, said),
                keeping)),
        found, h("div", {class: "grid"}, levels));
    return () => { leave(); unwatch(); };
}

// Makes an example of what was tried: one of the category that is chosen.
function keep(text) {
    const told = h("p", {class: "quiet", role: "status"});
    const names = h("select", {onchange: () => { add.disabled = names.value === ""; }},
        h("option", {value: ""}, "choose one"), described.map(name => h("option", {value: name}, name)));
    const add = h("button", {type: "button", disabled: true, onclick: async () => {
        add.disabled = names.disabled = true;
        told.textContent = "The config is read again";
        const refusal = await change("/adapters/examples", {category: names.value, text});
        told.textContent = refusal === "" ? `It is an example of ${names.value} now; Adapters lists it, to undo it` : refusal;
        names.disabled = false;
        add.disabled = refusal === "";
    }}, "Add as an example");
    return h("div", {class: "fields"}, h("label", {}, "What is asked belongs to", names), add, told);
}

const body = text => JSON.stringify({model: "auto", messages: [{role: "user", content: text}]});

// What is told, beside what a candidate makes of the text, if one is asked; until it answers, it has only a state.
function parts(told, other) {
    const beside = other && other.labels ? other : null;
    return [
        h("div", {class: "panel half"}, h("h2", {}, "Decision"), facts(decision(told, other))),
        h("div", {class: "panel half"}, h("h2", {}, "The ask"), ask(told.ask)),
        h("div", {class: `panel half ${beside ? "beside" : ""}`}, scores("Category", "Categories", told.categories, told.thresholds,
            beside && {scores: beside.categories, thresholds: beside.thresholds}, told.threshold_origins)),
        h("div", {class: "panel half"}, scores("Label", "Labels", told.labels, null, beside && {scores: beside.labels})),
        h("div", {class: "panel two-thirds"}, edits(told.edits)),
        h("div", {class: "panel third"}, timings(told.timing_ms)),
    ];
}

function decision(told, other) {
    const {decision: one, conversation, text} = told;
    const adapter = one.base_model === one.model ? "" : h("span", {class: "quiet"}, `, an adapter of ${one.base_model}`);
    const confidence = one.confidence === null ? "–" : one.confidence.toFixed(3);
    const missed = one.missed && `${one.missed.category} did not reach ${threshold(one.missed.threshold)}`;
    return [
        ["Model", [h("strong", {}, one.model), adapter]],
        ["Reason", [one.reason, missed ? h("span", {class: "warn"}, ` ${missed}`) : ""]],
        ["Category", one.category ?? "none"],
        ["Confidence", confidence + (one.threshold_origin ? `, threshold ${threshold(one.threshold)} by ${one.threshold_origin}` : "")],
        one.near && ["Near", `${one.near.category} (${one.near.confidence.toFixed(2)})`],
        one.rule && ["Rule", one.rule],
        one.would && ["Would be", `${one.would.model} (${one.would.reason})`],
        ["Endpoints", one.endpoints.join(", ") || "none serves it"],
        one.tools && ["Tools", "it carries tools"],
        one.system_prompt && ["System prompt", one.system_prompt],
        one.reasoning !== null && ["Reasoning", one.reasoning ? "on" : "off"],
        conversation && ["Conversation", `${conversation.outcome}: ${conversation.why}`],
        told.shadow && ["In shadow", opinion(told.shadow, one.model)],
        other && ["Candidate", [h("code", {}, other.artifact), " ", other.state ? h("span", {class: "quiet"}, other.state)
            : other.decision ? opinion(other.decision, one.model) : "no text was classified"]],
        text && ["Classified", [
            `${text.artifact}, ${count(text.tokens)} tokens`,
            text.truncated ? ", cut" : "",
            text.source === "run" ? "" : ", from the cache",
            text.by_material ? ", with what it points to" : "",
            text.by_line ? ", by the line that asks" : "",
            text.language ? `, ${text.language}` : "",
        ]],
    ].filter(Boolean);
}

// What another classifier makes of the text alone.
function opinion(found, model) {
    const confidence = found.confidence === undefined ? "" : ` ${found.confidence.toFixed(3)}`;
    return [h("span", {class: found.model === model ? null : "warn"}, found.model),
        h("span", {class: "quiet"}, ` ${found.category ?? "no category"}, ${found.reason}${confidence}`)];
}

function ask(found) {
    const kinds = found.steps.map(step => `${step.what} ${count(step.start)}–${count(step.end)}`).join(", ");
    return [
        h("pre", {class: "message", tabindex: "0", role: "region", "aria-label": "The message, with the ask marked"},
            found.message === null || !found.steps.length ? h("mark", {}, found.text) : marked(found)),
        facts([
            ["Found", found.kind],
            found.steps.length ? ["Steps", kinds] : null,
            found.message !== null && found.steps.length ? ["What is read", found.text] : null,
            found.others.length ? ["Others", found.others.join(" · ")] : null,
            found.about ? ["Points to", found.about] : null,
        ].filter(Boolean)),
    ];
}

// The message with the steps' parts: positions count characters, of which some are two units of a string here.
function marked({message, steps}) {
    const letters = Array.from(message);
    const text = (start, end) => letters.slice(start, end).join("");
    const found = [];
    let at = 0;
    for (const {what, start, end} of steps) {
        if (start < at) {
            continue;
        }
        found.push(text(at, start), h(TAKEN.has(what) ? "mark" : "s", {title: what}, text(start, end)));
        at = end;
    }
    return [...found, text(at, letters.length)];
}

// Scores, perhaps with thresholds, and beside them those of a candidate, which may have other names.
function scores(kind, name, values, thresholds, other, origins) {
    const more = Object.keys(other?.scores ?? {}).filter(one => !(one in values));
    const score = (found, one) => found[one]?.toFixed(3) ?? "–";
    const least = (found, one) => one in found ? threshold(found[one]) : "–";
    return table(name, [
        {name: kind, cell: one => one},
        {name: "", kind: "bar", cell: one => bar(values[one] ?? 0, thresholds?.[one])},
        {name: "Score", kind: "number", cell: one => score(values, one)},
        thresholds && {name: "Threshold", kind: "number", cell: one => least(thresholds, one)},
        origins && {name: "By", kind: "quiet", cell: one => origins[one]},
        other && {name: "Candidate", kind: "number", cell: one => score(other.scores, one)},
        other?.thresholds && {name: "Its threshold", kind: "number", cell: one => least(other.thresholds, one)},
    ].filter(Boolean), [...Object.keys(values), ...more], "Nothing was classified");
}

// What the thresholds do to the calibration rows, in use and at a precision of 0.95.
function bothErrors(levels) {
    const whole = value => Math.round(100 * value);
    const share = ({part, whole: rows, low, high}) =>
        rows ? `${whole(part / rows)} % (${whole(low)} to ${whole(high)}) of ${count(rows)}` : "–";
    const errors = (from, of) => [
        {name: `Threshold${from}`, kind: "number", cell: one => threshold(of(one).threshold) + (NOTES[of(one).origin] ?? "")},
        {name: "Reach", kind: "number", cell: one => share(of(one).reach)},
        {name: "Precision", kind: "number", cell: one => share(of(one).precision)},
    ];
    return [
        table("Thresholds", [
            {name: "Category", cell: one => one.category},
            ...errors("", one => one),
            {name: "By", kind: "quiet", cell: one => one.origin},
            ...errors(" at precision 0.95", one => one.at_precision),
        ], levels, "The config has no categories"),
        h("p", {class: "quiet"}, "Reach: of a category’s calibration rows, those that get it. Precision: of all rows that get it, "
            + "its own. With 95 % intervals."),
    ];
}

function edits(found) {
    const code = text => text === null ? h("span", {class: "quiet"}, "absent") : h("code", {}, text);
    return table("Edits", [
        {name: "Field", kind: "code", cell: one => one.field},
        {name: "From", kind: "wide", cell: one => code(one.from)},
        {name: "To", kind: "wide", cell: one => code(one.to)},
    ], found, "The body would be sent as it came");
}

function timings(found) {
    const most = Math.max(...Object.values(found), 0.001);
    return table("Time", [
        {name: "Phase", cell: ([name]) => name},
        {name: "", kind: "bar", cell: ([, ms]) => bar(ms / most)},
        {name: "", kind: "number", cell: ([, ms]) => duration(ms)},
    ], Object.entries(found), "Nothing took time");
}
