"use strict";
// OpenID Connect Front-Channel Logout §3: go on once every client's frame has loaded, which
// the window's own load event waits for, or after three seconds.

const link = document.getElementById("logout-continue");
const goOn = () => location.replace(link.href);
window.addEventListener("load", goOn);
setTimeout(goOn, 3000);
