// What `GET /status` tells, which several parts of the page show.

import {get} from "./api.js";
import {every} from "./poll.js";

// A service that does not answer is seen after the two together, at the latest.
const SECONDS = 3, PATIENCE_SECONDS = 4;
const watchers = new Set();
let last = null;

export function start() {
    return every(SECONDS, async () => {
        last = await get("/status", PATIENCE_SECONDS);
        watchers.forEach(tell => tell(last));
    });
}

// Calls `tell` with what is known and with all that follows; returns a function that ends this.
export function watch(tell) {
    watchers.add(tell);
    if (last !== null) {
        tell(last);
    }
    return () => watchers.delete(tell);
}
