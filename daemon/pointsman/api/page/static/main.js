// The frame of the page: the views, the state of the service, and the token.

import {hasToken, useToken} from "./api.js";
import * as compare from "./compare.js";
import * as decisions from "./decisions.js";
import {h} from "./dom.js";
import {age, routing} from "./format.js";
import * as improve from "./improve.js";
import * as now from "./now.js";
import {onFailure} from "./poll.js";
import * as trying from "./try.js";
import * as status from "./status.js";

const VIEWS = {now, decisions, try: trying, compare, improve};
const main = document.getElementById("main");
const state = document.getElementById("state");
const since = document.getElementById("since");
const mode = document.getElementById("mode");
let close = () => {};
let asking = null;
let locked = false;

function open() {
    const wanted = location.hash.slice(1), name = Object.hasOwn(VIEWS, wanted) ? wanted : "now";
    if (locked) {
        return;
    }
    close();
    const view = VIEWS[name];
    document.title = `${view.title} – Pointsman`;
    for (const link of document.querySelectorAll("nav a")) {
        link.toggleAttribute("aria-current", false);
        if (link.hash === `#${name}`) {
            link.setAttribute("aria-current", "page");
        }
    }
    main.replaceChildren();
    close = view.open(main) ?? (() => {});
}

function tell(text, kind) {
    put(state, text);
    state.className = kind;
}

// What does not change is not read out again.
function put(place, text) {
    if (place.textContent !== text) {
        place.textContent = text;
    }
}

function lock() {
    if (locked) {
        return;
    }
    locked = true;
    close();
    close = () => {};
    asking.stop();
    const wrong = hasToken();
    useToken(null);
    const field = h("input", {type: "password", id: "token", autocomplete: "off", required: true});
    main.replaceChildren(h("form", {
        class: "panel entry",
        onsubmit: event => {
            event.preventDefault();
            useToken(field.value.trim());
            begin();
        },
    },
    h("h1", {}, "Token"),
    h("p", {}, wrong ? "This token is not right. " : "", "The service wants what the file of ",
        h("code", {}, "pointsman.server.admin_token_file"), " holds. It stays in this tab."),
    h("label", {for: "token"}, "Admin token"),
    field,
    h("button", {type: "submit"}, "Open")));
    field.focus();
    tell("a token is wanted", "state warn");
}

function begin() {
    locked = false;
    asking = status.start();
    open();
}

onFailure(error => {
    if (error?.status === 401) {
        lock();
    } else if (error !== null) {
        tell(error.message, "state bad");
    }
});

// The state is read out where it changes, and the age is not.
status.watch(told => {
    tell(told.trouble ?? "ready", told.trouble === null ? "state good" : "state bad");
    put(mode, told.routing.overridden ? `routing ${routing(told.routing)}` : "");
    since.textContent = `up ${age(told.uptime_s)}, ${told.version}`;
});

document.getElementById("views").append(...Object.entries(VIEWS).map(
    ([name, view]) => h("li", {}, h("a", {href: `#${name}`}, view.title))));
window.addEventListener("hashchange", () => {
    if (location.hash !== "#main") {
        open();
        main.focus();
    }
});
document.querySelector(".skip").addEventListener("click", event => {
    event.preventDefault();
    main.focus();
});
begin();
