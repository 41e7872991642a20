// Asks the admin port. The token, where one is wanted, stays in this tab.

const KEY = "token";

export class Failure extends Error {
    constructor(status, message, code, late = false) {
        super(message);
        this.status = status;
        this.code = code;
        this.late = late;
    }
}

let heard = () => {};

// `report` is called with each answer, whatever it says.
export function onAnswer(report) {
    heard = report;
}

export const hasToken = () => sessionStorage.getItem(KEY) !== null;

export function useToken(token) {
    if (token === null) {
        sessionStorage.removeItem(KEY);
    } else {
        sessionStorage.setItem(KEY, token);
    }
}

export const get = (path, seconds) => ask("GET", path, undefined, seconds);

// `signal` aborts it.
export const post = (path, body, seconds, signal) => ask("POST", path, body, seconds, signal);

async function ask(method, path, body, seconds = 30, signal = undefined) {
    const late = AbortSignal.timeout(1000 * seconds);
    const headers = {};
    if (hasToken()) {
        headers.Authorization = `Bearer ${sessionStorage.getItem(KEY)}`;
    }
    if (body !== undefined) {
        headers["Content-Type"] = "application/json";
    }
    let response;
    try {
        response = await fetch(path, {
            method, headers, body, cache: "no-store", redirect: "error",
            signal: signal ? AbortSignal.any([late, signal]) : late,
        });
    } catch {
        throw silent(late);
    }
    const said = await response.json().catch(() => null);
    if (said === null && response.ok) {
        throw silent(late);
    }
    heard();
    if (!response.ok) {
        throw new Failure(response.status, said?.error?.message ?? `status ${response.status}`, said?.error?.code);
    }
    return said;
}

const silent = late => new Failure(0, "the service does not answer", undefined, late.aborted);
