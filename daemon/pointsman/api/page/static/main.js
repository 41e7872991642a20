// The frame of the page: the views, the state of the service, and the token.

import * as adapters from "./adapters.js";
import * as address from "./address.js";
import {hasToken, onAnswer, useToken} from "./api.js";
import * as compare from "./compare.js";
import * as decisions from "./decisions.js";
import {h} from "./dom.js";
import {age, clock, routing} from "./format.js";
import * as improve from "./improve.js";
import * as now from "./now.js";
import {onFailure} from "./poll.js";
import * as trying from "./try.js";
import * as status from "./status.js";

const VIEWS = {now, decisions, try: trying, adapters, compare, improve};
const main = document.getElementById("main");
const state = document.getElementById("state");
const since = document.getElementById("since");
const mode = document.getElementById("mode");
const old = document.getElementById("old");
let close = () => {};
let asking = null;
let locked = false;
let shown = null;
let answer = ["connecting", ""];
let silent = null; // since when the service does not answer

// Opens the view that the address names, and returns whether it is another one. What else stands there, views read.
function open() {
    const wanted = address.view(), name = Object.hasOwn(VIEWS, wanted) ? wanted : "now";
    if (locked || name === shown) {
        return false;
    }
    close();
    shown = name;
    const view = VIEWS[name];
    document.title = `${view.title} – Pointsman`;
    for (const item of document.querySelectorAll("nav a")) {
        item.toggleAttribute("aria-current", false);
        if (item.hash === address.link(name)) {
            item.setAttribute("aria-current", "page");
        }
    }
    main.replaceChildren();
    close = view.open(main) ?? (() => {});
    return true;
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
    shown = null;
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
    tell(...answer);
    asking = status.start();
    open();
}

// While it does not answer, what is shown stays, and is marked as old.
function hush(since) {
    silent = since;
    old.hidden = since === null;
    main.classList.toggle("old", since !== null);
    if (since === null) {
        tell(...answer);
    } else {
        const when = `${clock(since / 1000)} UTC`;
        tell(`does not answer since ${when}`, "state bad");
        old.textContent = `What you see is from before ${when}.`;
    }
}

onAnswer(() => silent !== null && hush(null));

onFailure((error, asked) => {
    if (error.status === 401) {
        lock();
    } else if (error.status === 0) {
        hush(silent ?? asked);
    } else {
        tell(error.message, "state bad");
    }
});

// The state is read out where it changes, and the age is not.
status.watch(told => {
    answer = [told.trouble ?? "ready", told.trouble === null ? "state good" : "state bad"];
    tell(...answer);
    put(mode, told.routing.overridden ? `routing ${routing(told.routing)}` : "");
    since.textContent = `up ${age(told.uptime_s)}, ${told.version}`;
});

document.getElementById("views").append(...Object.entries(VIEWS).map(
    ([name, view]) => h("li", {}, h("a", {href: address.link(name)}, view.title))));
window.addEventListener("hashchange", () => {
    if (location.hash !== "#main" && open()) {
        main.focus();
    }
});
document.querySelector(".skip").addEventListener("click", event => {
    event.preventDefault();
    main.focus();
});
begin();
