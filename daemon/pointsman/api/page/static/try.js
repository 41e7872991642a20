// Try: how the service would route a prompt or a whole request now, and why.

import {post} from "./api.js";
import {bar} from "./chart.js";
import {choice, facts, h, table} from "./dom.js";
import {count, duration} from "./format.js";
import {attempt} from "./poll.js";

export const title = "Try";

const KINDS = [["prompt", "A prompt"], ["request", "A whole request"]];
const HINTS = {
    prompt: "What somebody asks, with all that a client would put around it.",
    request: "The JSON body of a request, of any of the four formats.",
};
// The steps that leave what is asked; all others leave it out.
const TAKEN = new Set(["taken", "turn", "json"]);

// What was tried stays in this tab while other views are open.
let kind = "prompt";
const texts = {prompt: "", request: ""};

export function open(main) {
    const hint = h("p", {class: "quiet", id: "hint"});
    const field = h("textarea", {
        id: "tried", rows: "7", spellcheck: "false", "aria-describedby": "hint",
        oninput: () => { texts[kind] = field.value; },
        onkeydown: event => event.key === "Enter" && (event.ctrlKey || event.metaKey) && tryIt(),
    });
    const said = h("p", {class: "bad", role: "alert"});
    const found = h("div", {class: "grid"});
    const button = h("button", {type: "button", class: "main", onclick: tryIt}, "Route it");

    function use(chosen) {
        kind = chosen;
        field.value = texts[kind];
        hint.textContent = HINTS[kind];
    }

    async function tryIt() {
        button.disabled = true;
        said.textContent = "";
        await attempt(async () => {
            try {
                const told = await post("/route", kind === "prompt" ? body(texts.prompt) : texts.request);
                found.replaceChildren(...parts(told, texts.prompt));
            } catch (error) {
                if (error.status === 401 || !error.status) {
                    throw error;
                }
                said.textContent = error.message;
            }
        }).finally(() => { button.disabled = false; });
    }

    use(kind);
    main.append(
        h("div", {class: "title"}, h("h1", {}, title), choice("What is tried", KINDS, kind, use),
            h("p", {class: "quiet"}, "Nothing is sent to vLLM, and nothing is remembered")),
        h("div", {class: "grid"},
            h("div", {class: "panel entering"},
                h("label", {for: "tried"}, "Text"), field, hint,
                h("div", {class: "fields"}, button, said))),
        found);
}

const body = text => JSON.stringify({model: "auto", messages: [{role: "user", content: text}]});

function parts(told) {
    return [
        h("div", {class: "panel half"}, h("h2", {}, "Decision"), facts(decision(told))),
        h("div", {class: "panel half"}, h("h2", {}, "The ask"), ask(told.ask)),
        h("div", {class: "panel half"}, scores("Categories", told.categories, told.thresholds)),
        h("div", {class: "panel half"}, scores("Labels", told.labels, {})),
        h("div", {class: "panel two-thirds"}, edits(told.edits)),
        h("div", {class: "panel third"}, timings(told.timing_ms)),
    ];
}

function decision(told) {
    const {decision: one, conversation, text} = told;
    const adapter = one.base_model === one.model ? "" : h("span", {class: "quiet"}, `, an adapter of ${one.base_model}`);
    const confidence = one.confidence === null ? "–" : one.confidence.toFixed(3);
    const missed = one.missed && `${one.missed.category} did not reach ${one.missed.threshold.toFixed(2)}`;
    return [
        ["Model", [h("strong", {}, one.model), adapter]],
        ["Reason", [one.reason, missed ? h("span", {class: "warn"}, ` ${missed}`) : ""]],
        ["Category", one.category ?? "none"],
        ["Confidence", `${confidence}, threshold ${one.threshold.toFixed(2)}`],
        one.rule && ["Rule", one.rule],
        one.would && ["Would be", `${one.would.model} (${one.would.reason})`],
        ["Endpoints", one.endpoints.join(", ") || "none serves it"],
        one.tools && ["Tools", "it carries tools"],
        one.system_prompt && ["System prompt", one.system_prompt],
        one.reasoning !== null && ["Reasoning", one.reasoning ? "on" : "off"],
        conversation && ["Conversation", `${conversation.outcome}: ${conversation.why}`],
        told.shadow && ["In shadow", inShadow(told.shadow, one.model)],
        text && ["Classified", [
            `${text.artifact}, ${count(text.tokens)} tokens`,
            text.truncated ? ", cut" : "",
            text.source === "run" ? "" : ", from the cache",
            text.by_material ? ", with what it points to" : "",
            text.language ? `, ${text.language}` : "",
        ]],
    ].filter(Boolean);
}

// What the classifier in shadow makes of the text alone.
function inShadow(opinion, model) {
    const confidence = opinion.confidence === undefined ? "" : ` ${opinion.confidence.toFixed(3)}`;
    return [h("span", {class: opinion.model === model ? null : "warn"}, opinion.model),
        h("span", {class: "quiet"}, ` ${opinion.category ?? "no category"}, ${opinion.reason}${confidence}`)];
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

function scores(name, values, thresholds) {
    const rows = Object.entries(values);
    return table(name, [
        {name: name === "Labels" ? "Label" : "Category", cell: ([one]) => one},
        {name: "", kind: "bar", cell: ([one, score]) => bar(score, thresholds[one])},
        {name: "Score", kind: "number", cell: ([, score]) => score.toFixed(3)},
        name === "Labels" ? null : {name: "Threshold", kind: "number", cell: ([one]) => thresholds[one]?.toFixed(2)},
    ].filter(Boolean), rows, "Nothing was classified");
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
