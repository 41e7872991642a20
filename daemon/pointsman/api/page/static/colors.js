// One color for each model, in all views.

import {h} from "./dom.js";

const COLORS = 7;
const known = new Map();

// A model's name with its color.
export function named(name) {
    if (!known.has(name)) {
        known.set(name, known.size % COLORS);
    }
    return [h("span", {class: `swatch c${known.get(name)}`}), name];
}
