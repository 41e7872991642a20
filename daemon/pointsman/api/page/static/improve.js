// Improve: label doubtful texts by one key each, fit, see what would change, promote, and go back.

import {get} from "./api.js";
import {facts, h, show, table} from "./dom.js";
import {count, percent} from "./format.js";
import {change, every} from "./poll.js";

export const title = "Improve";

const SECONDS = 5;
const KEYS = "123456789abcdefghijklmoprtvwxyz"; // n, s, u and q mean something else in `pointsman label`, too
const WHY = {
    bad_feedback: "bad feedback", shadow_disagrees: "the shadow disagrees", ambiguous: "ambiguous",
    abstained: "no category reached its threshold",
    close: "two categories are close", sample: "one of a fair sample",
};
// By the sign test, a smaller difference can be chance, even if no text is decided worse.
const MIN_DIFFERENCE = 6;
const NOT_KEPT = "No texts are stored: name a file in pointsman.log.texts_file to see doubtful prompts here.";

export function open(main) {
    let told = null, serving = null, skipped = new Set(), busy = false;
    const text = h("div", {class: "panel two-thirds"});
    const report = h("div", {class: "panel half"});
    const classifiers = h("div", {class: "panel half"});
    const said = h("p", {class: "bad", role: "alert"});

    const button = (name, work, kind) => h("button", {type: "button", class: kind, onclick: work}, name);
    const cancel = button("Cancel", () => act("/improve/cancel"));
    const numbers = h("div"), run = h("div");
    const side = h("div", {class: "panel third parts"}, numbers, h("div", {class: "fields"},
        button("Collect", () => { skipped = new Set(); act("/improve/collect"); }),
        button("Fit", () => act("/improve/fit"), "main"), cancel), run, said);

    const current = () => told?.items.find(item => !skipped.has(item.hash));

    async function act(path, body = {}) {
        if (busy) {
            return;
        }
        busy = true;
        main.setAttribute("aria-busy", "true");
        said.textContent = "";
        try {
            said.textContent = await change(path, body);
        } finally {
            busy = false;
            main.removeAttribute("aria-busy");
        }
        refresh();
    }

    function label(name) {
        const item = current();
        if (item) {
            act("/improve/label", {hash: item.hash, label: name});
        }
    }

    function skip() {
        const item = current();
        if (item) {
            skipped.add(item.hash);
            draw();
        }
    }

    function pressed(event) {
        if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")
            || main.querySelector("dialog") !== null) {
            return;
        }
        const category = told?.categories[KEYS.indexOf(event.key)];
        const suggested = suggestion(current(), told);
        if (event.key.length === 1 && category !== undefined) {
            label(category);
        } else if (event.key === "n") {
            label("none");
        } else if (event.key === "Enter" && suggested !== null && event.target.closest("button, a, summary") === null) {
            label(suggested);
        } else if (event.key === "s") {
            skip();
        } else if (event.key === "u") {
            act("/improve/undo");
        }
    }

    // Asks before a classifier is promoted, with what is known of it.
    function promote(one) {
        const part = right => `${count(right)} of ${count(one.labelled)} (${percent(right, one.labelled)})`;
        const leave = () => {
            dialog.close();
            dialog.remove();
        };
        const no = button("Leave it", leave);
        const dialog = h("dialog", {"aria-labelledby": "question", oncancel: leave},
            h("h2", {id: "question"}, `Promote ${one.name}?`),
            one.labelled ? facts([["Right before", part(one.right_before)], ["Right after", part(one.right_after)]]) : null,
            h("p", {}, worth(one)),
            h("p", {class: "quiet"}, "It reads all requests from now on. The one before stays, to go back to."),
            h("div", {class: "fields"},
                button("Promote it", () => {
                    leave();
                    act("/classifier/promote", {artifact: one.name});
                }, "main"),
                no));
        main.append(dialog);
        dialog.showModal();
        no.focus();
    }

    // What is shown stays as it is while it is the same: the keyboard's focus is in it.
    const drawn = new Map();
    function redraw(place, value, parts) {
        const now = JSON.stringify(value);
        if (drawn.get(place) !== now) {
            drawn.set(place, now);
            show(place, ...parts());
        }
    }

    function draw() {
        const item = current();
        redraw(text, [item, told.trouble, told.texts_kept], () => item
            ? asked(item, told, label, skip, () => act("/improve/undo"), button) : [
                h("h2", {}, "Nothing to label"),
                h("p", {class: "quiet"}, told.trouble ?? (told.texts_kept
                    ? "Collect lists the doubtful texts among those that are kept." : NOT_KEPT)),
            ]);
        redraw(numbers, [told.labels, told.waiting], () => [
            table("Labels", [
                {name: "Category", cell: ([name]) => name === "out_of_scope" ? "none of them" : name},
                {name: "", kind: "number", cell: ([, number]) => count(number)},
            ], Object.entries(told.labels), "No text has a label"),
            h("p", {class: "quiet"}, `Texts to label: ${count(told.waiting)}`),
        ]);
        redraw(run, told.run, () => told.run ? progress(told.run) : []);
        cancel.hidden = told.run?.state !== "running";
        redraw(report, told.report, () => shown(told.report));
        redraw(classifiers, serving, () => used(serving, promote,
            () => act("/classifier/rollback"), name => act("/classifier/discard", {artifact: name}), button));
    }

    async function ask() {
        [told, serving] = await Promise.all([get("/improve"), get("/classifiers")]);
        draw();
    }

    main.append(h("div", {class: "title"}, h("h1", {}, title),
        h("p", {class: "quiet"}, "Texts are what people wrote: they stay on this host")),
    h("div", {class: "grid"}, text, side, report, classifiers));
    document.addEventListener("keydown", pressed);
    const refresh = every(SECONDS, ask);
    return () => {
        refresh.stop();
        document.removeEventListener("keydown", pressed);
    };
}

// What a model says of a text, as a label; null if it says nothing, or names a category that is gone.
function suggestion(item, told) {
    if (item?.suggested === "(none)") {
        return "none";
    }
    return told?.categories.includes(item?.suggested) ? item.suggested : null;
}

function asked(item, told, label, skip, undo, button) {
    const suggested = suggestion(item, told);
    const best = Object.entries(item.scores ?? {}).map(([name, score]) => `${name} ${score.toFixed(2)}`).join(", ");
    const key = (name, letter) => [h("kbd", {}, letter), ` ${name}`];
    return [
        h("h2", {}, "Which category is it?"),
        h("pre", {class: "message", tabindex: "0", role: "region", "aria-label": "The text"}, item.text),
        h("div", {class: "fields"},
            suggested === null ? null
                : button(key(suggested === "none" ? "none of them, as a model says" : `${suggested}, as a model says`, "Enter"),
                    () => label(suggested), "main"),
            told.categories.map((name, place) => button(key(name, KEYS[place] ?? ""), () => label(name))),
            button(key("none of them", "n"), () => label("none")),
            button(key("skip", "s"), skip),
            button(key("undo", "u"), undo)),
        facts([
            ["Was decided", item.category ?? "no category"],
            item.model ? ["Answered by", item.model] : null,
            best ? ["Scores", best] : null,
            item.shadow ? ["In shadow", item.shadow] : null,
            ["Why it is here", (item.why ?? []).map(one => WHY[one] ?? one).join(", ") || "least sure of the rest"],
            (item.alike ?? 1) > 1 ? ["Stands for", `${count(item.alike)} texts that are nearly the same`] : null,
        ].filter(Boolean)),
    ];
}

function progress(run) {
    const kind = {done: "good", failed: "bad"}[run.state] ?? "quiet";
    return [h("p", {class: kind, role: "status"}, `${run.command}: ${run.state}, ${run.seconds.toFixed(0)} s`),
        run.said.length ? h("pre", {class: "message", tabindex: "0", role: "region", "aria-label": "What it says"},
            run.said.join("\n")) : null].filter(Boolean);
}

function shown(report) {
    if (report === null) {
        return [h("h2", {}, "The last fit"), h("p", {class: "quiet"}, "Nothing has been fitted yet: ten labels are the least.")];
    }
    const change = one => [h("strong", {}, `${one.before} → ${one.after}`),
        h("p", {class: "quiet"}, one.samples.map(sample => h("span", {class: "sample"}, sample)))];
    return [
        table("The last fit: labeled texts decided rightly, each by a fit that did not see it", [
            {name: "Label", cell: one => one.label === "out_of_scope" ? "none of them" : one.label},
            {name: "Texts", kind: "number", cell: one => count(one.texts)},
            {name: "Before", kind: "number", cell: one => count(one.before)},
            {name: "After", kind: "number", cell: one => count(one.after)},
        ], [...report.labels, {label: "all", texts: report.labelled, before: report.before, after: report.after}], ""),
        report.levels ? table("Thresholds", [
            {name: "Category", kind: "word", cell: one => one.category},
            {name: "Before", kind: "number", cell: one => one.before.toFixed(2)},
            {name: "After", kind: "number", cell: one => one.after.toFixed(2)},
            {name: "Labeled", kind: "number", cell: one => count(one.labelled)},
            {name: "Fitted on", cell: one => fittedOn(one)},
        ], report.levels, "The config has no categories") : null,
        table(`Of ${count(report.traffic)} kept texts, another model would answer`, [
            {name: "Change", kind: "wide", cell: change},
            {name: "Model", cell: one => one.model},
            {name: "Texts", kind: "number", cell: one => count(one.texts)},
        ], report.changes, "none"),
    ].filter(one => one !== null);
}

function fittedOn(one) {
    if (one.origin === "routing.thresholds" || one.origin === "category_model.threshold") {
        return "the config sets it";
    }
    if (one.origin !== "routing.precision") {
        return one.origin;
    }
    return one.few ? "the base’s rows alone: too few labels" : "the base’s rows and labels";
}

// What the labels say of a classifier. Each text was decided by a fit that did not see it.
function worth(one) {
    const taught = one.teaching;
    if (taught && !one.labelled) {
        const moved = taught.moved;
        return `Of ${count(taught.rows)} taught prompts ${count(taught.right)} get their category, of `
            + `${count(taught.nobody)} of none ${count(taught.kept)} get none.`
            + (moved ? ` Of ${count(moved.texts)} stored texts ${count(moved.moved)} would get another model, `
                + `${count(moved.between)} of them another adapter in place of an adapter.` : "");
    }
    if (!one.labelled) {
        return "Nothing is known of it by labels.";
    }
    const more = one.right_after - one.right_before;
    if (more === 0) {
        return "As many are right as before: the labels say nothing for it.";
    }
    if (more < 0) {
        return `${count(-more)} fewer are right than before.`;
    }
    return `${count(more)} more are right than before${more < MIN_DIFFERENCE ? ", which may be chance" : ""}.`;
}

function used(serving, promote, rollback, discard, button) {
    const right = one => one.labelled ? `${one.right_before} → ${one.right_after} of ${one.labelled}` : "–";
    const name = path => path.split("/").pop();
    // The second click means it: what is discarded is gone. That of a double click does not.
    const sure = one => button("Discard", event => {
        if (event.detail > 1) {
            return;
        }
        const pressed = event.currentTarget;
        if (pressed.classList.contains("bad")) {
            discard(one.name);
        } else {
            pressed.classList.add("bad");
            pressed.textContent = "Discard for ever";
        }
    });
    return [
        table("Classifiers", [
            {name: "Name", cell: one => one.name},
            {name: "Right", cell: right},
            {name: "", cell: one => one.path === serving.in_use ? h("strong", {}, "in use")
                : h("div", {class: "fields"}, button("Promote", () => promote(one)),
                    one.path === serving.shadow ? h("span", {class: "quiet"}, "in shadow") : sure(one))},
        ], serving.artifacts, "No fit is kept"),
        facts([["In use", name(serving.in_use)], ["In the config", name(serving.config)]]),
        serving.promoted ? h("div", {class: "fields"}, button("Go back", rollback)) : null,
    ].filter(one => one !== null);
}
