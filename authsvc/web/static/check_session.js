"use strict";
// OpenID Connect Session Management §3.2: tells a client's page whether its session_state
// still holds. The page sends "client_id session_state"; the answer goes to its origin alone.

const prefix = location.protocol === "https:" ? "__Host-" : "";
const cookieName = `${prefix}authsvc_browser_state=`;

function browserState() {
  const found = document.cookie.split("; ").find((cookie) => cookie.startsWith(cookieName));
  return found === undefined ? "" : found.slice(cookieName.length);
}

async function sha256(text) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// §3.2: only the page that frames this one may ask. Where a browser does not say which page
// that is, whoever has a window of ours may.
function parentOrigin() {
  if (location.ancestorOrigins && location.ancestorOrigins.length > 0) {
    return location.ancestorOrigins[0];
  }
  return document.referrer ? new URL(document.referrer).origin : null;
}

async function check(message, origin) {
  const end = typeof message === "string" ? message.lastIndexOf(" ") : -1;
  const [hash, salt, more] = end > 0 ? message.slice(end + 1).split(".") : [];
  if (!hash || !salt || more !== undefined || !crypto.subtle) {
    return "error";
  }
  const clientId = message.slice(0, end);
  const expected = await sha256(`${clientId} ${origin} ${browserState()} ${salt}`);
  return hash === expected ? "unchanged" : "changed";
}

window.addEventListener("message", async (event) => {
  // Whoever has no origin can not be answered without being overheard.
  if (event.source === null || event.source === window || !/^https?:/.test(event.origin)) {
    return;
  }
  const parent = parentOrigin();
  if (parent !== null && parent !== event.origin) {
    return;
  }
  const answer = await check(event.data, event.origin);
  event.source.postMessage(answer, event.origin);
});
