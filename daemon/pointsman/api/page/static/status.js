// What `GET /status` tells, which several parts of the page show.

import {get} from "./api.js";
import {every} from "./poll.js";

const watchers = new Set();
let last = null;

export function start() {
    return every(5, async () => {
        last = await get("/status");
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
