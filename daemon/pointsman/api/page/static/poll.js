// Asks again and again, one question at a time, and not while nobody looks.

import {Failure, post} from "./api.js";

let failed = () => {};

// `report` is called with each error, and when the question was asked.
export function onFailure(report) {
    failed = report;
}

// Does something that may fail, and reports it.
export async function attempt(work) {
    const asked = Date.now();
    try {
        await work();
    } catch (error) {
        failed(error, asked);
        if (!(error instanceof Failure)) {
            throw error;
        }
    }
}

// Posts a change; returns why it is refused, nothing ("") if it is not, and null without an answer.
export async function change(path, body) {
    let refusal = null;
    await attempt(async () => {
        try {
            await post(path, JSON.stringify(body));
            refusal = "";
        } catch (error) {
            if (error.status === 401 || !error.status) {
                throw error;
            }
            refusal = error.message;
        }
    });
    return refusal;
}

// Returns a function that asks at once, with `stop` to end it.
export function every(seconds, work) {
    let timer = 0, running = false, again = false, over = false;

    async function turn() {
        clearTimeout(timer);
        if (running || over) {
            again = running;
            return;
        }
        running = true;
        try {
            await attempt(work);
        } finally {
            running = false;
            if (!over && (again || !document.hidden)) {
                timer = setTimeout(turn, again ? 0 : 1000 * seconds);
            }
            again = false;
        }
    }

    const seen = () => document.hidden || turn();
    document.addEventListener("visibilitychange", seen);
    turn.stop = () => {
        over = true;
        clearTimeout(timer);
        document.removeEventListener("visibilitychange", seen);
    };
    turn();
    return turn;
}
