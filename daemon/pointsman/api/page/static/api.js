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

export const hasToken = () => sessionStorage.getItem(KEY) !== null;

export function useToken(token) {
    if (token === null) {
        sessionStorage.removeItem(KEY);
    } else {
        sessionStorage.setItem(KEY, token);
    }
}

export const get = path => ask("GET", path);

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
        throw new Failure(0, "the service does not answer", undefined, late.aborted);
    }
    const said = await response.json().catch(() => null);
    if (!response.ok) {
        throw new Failure(response.status, said?.error?.message ?? `status ${response.status}`, said?.error?.code);
    }
    return said;
}
