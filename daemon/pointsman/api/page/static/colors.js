// One look for each model in all views: the config's order gives its color, and beyond the 12th a pattern and a shade.

import {h} from "./dom.js";
import {watch} from "./status.js";

const COLORS = 12, PATTERNS = 5, SHADES = 5;
const places = new Map();

// What was shown before the first answer, or before the config changed, gets its look now.
watch(told => {
    places.clear();
    told.models.forEach((one, place) => places.set(one.name, place));
    document.querySelectorAll("[data-model]").forEach(one => { one.className = `swatch ${look(one.dataset.model)}`; });
});

// Where the model stands in the config; what is not in it comes last.
export const place = name => places.get(name) ?? places.size;

// The classes of a model's look; what is no model of the config is gray. The first 300 models have looks of their own.
export function look(name) {
    const number = places.get(name);
    if (number === undefined) {
        return "gray";
    }
    const [color, pattern, shade] = [number, Math.floor(number / COLORS), Math.floor(number / COLORS / PATTERNS)];
    return `c${color % COLORS} p${pattern % PATTERNS} d${shade % SHADES}`;
}

// The number of the pattern in such classes: 0 is none.
export const pattern = classes => Number(/p(\d)/.exec(classes)?.[1] ?? 0);

export const swatch = classes => h("span", {class: `swatch ${classes}`});

// A model's name with its color.
export const named = name => [h("span", {class: `swatch ${look(name)}`, "data-model": name}), name];
