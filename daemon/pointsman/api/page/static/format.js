// Numbers and times as text.

const WHOLE = new Intl.NumberFormat("en", {maximumFractionDigits: 0});
const TENTH = new Intl.NumberFormat("en", {minimumFractionDigits: 1, maximumFractionDigits: 1});
const SHORT = new Intl.NumberFormat("en", {notation: "compact", maximumFractionDigits: 1});

export const sum = numbers => numbers.reduce((total, one) => total + one, 0);

export const count = number => WHOLE.format(number);

export const rate = number => (number >= 100 ? WHOLE : TENTH).format(number);

// As many digits as a threshold has that somebody may copy.
export const threshold = number => String(Math.round(10_000 * number) / 10_000);

export const percent = (part, whole) => whole ? `${TENTH.format(100 * part / whole)} %` : "–";

export function duration(ms) {
    if (ms === null || ms === undefined) {
        return "–";
    }
    if (ms < 0.995) {
        return `${ms.toFixed(2)} ms`;
    }
    if (ms < 9.95) {
        return `${TENTH.format(ms)} ms`;
    }
    return ms < 999.5 ? `${WHOLE.format(ms)} ms` : `${TENTH.format(ms / 1000)} s`;
}

// Tokens and the like, which may be many.
export const short = number => number < 10_000 ? WHOLE.format(number) : SHORT.format(number);

export function age(seconds) {
    const [days, hours, minutes] = [86400, 3600, 60].map(unit => Math.floor(seconds / unit));
    if (days) {
        return `${days} d ${hours % 24} h`;
    }
    return hours ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
}

// Times are those of the log: UTC.
export const clock = seconds => new Date(1000 * seconds).toISOString().slice(11, 19);

export const day = seconds => new Date(1000 * seconds).toISOString().slice(0, 16).replace("T", " ");

export const minute = seconds => clock(seconds).slice(0, 5);

// How much is routed, and until when where a command says so.
export function routing(told) {
    const mode = told.mode === "percent" ? `${told.percent} %` : told.mode;
    if (!told.overridden) {
        return mode;
    }
    return told.until === null ? `${mode} by command` : `${mode} by command until ${day(told.until)} UTC`;
}
