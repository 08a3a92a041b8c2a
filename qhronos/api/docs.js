// The documentation page: the filter, links that open what they point to, and the "try it" forms.
// The token is read from its field when a form is sent. It is never stored.

"use strict";

for (const code of document.querySelectorAll("code.curl")) {
  code.textContent = code.textContent.replace("http://127.0.0.1:8080", location.origin);
}

const filter = document.getElementById("filter");
filter.addEventListener("input", () => {
  const wanted = filter.value.trim().toLowerCase();
  for (const item of document.querySelectorAll("nav li")) {
    item.hidden = !item.textContent.toLowerCase().includes(wanted);
  }
});

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
  }
}
addEventListener("hashchange", openTarget);
openTarget();

document.getElementById("credentials").addEventListener("submit", (event) => event.preventDefault());

for (const form of document.querySelectorAll("form[data-path]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
}

const LONGEST = 20000; // characters of a stream that are shown, the last ones
const sent = new WeakMap(); // what ends the request before

async function send(form) {
  const output = form.querySelector("output");
  output.textContent = "…";
  output.className = "";
  sent.get(form)?.abort();
  const ending = new AbortController();
  sent.set(form, ending);
  try {
    const response = await fetch(address(form), { ...request(form), signal: ending.signal });
    if (kindOf(response).includes("event-stream")) {
      await follow(response, output);
      return;
    }
    output.textContent = await told(response);
    output.classList.toggle("refused", !response.ok);
  } catch (error) {
    if (ending.signal.aborted) return;
    output.textContent = String(error);
    output.classList.add("refused");
  }
}

function address(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  for (const input of form.querySelectorAll("input[data-in]")) {
    if (input.dataset.in === "path") {
      path = path.replace(`{${input.name}}`, encodeURIComponent(input.value));
    } else if (input.dataset.in === "query" && input.value) {
      query.append(input.name, input.value);
    }
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

function request(form) {
  const headers = new Headers();
  const token = document.getElementById("token").value.trim();
  if (token) headers.set("Authorization", `Bearer ${token}`);
  for (const input of form.querySelectorAll('input[data-in="header"]')) {
    if (input.value) headers.set(input.name, input.value);
  }
  const body = form.querySelector("textarea");
  if (body) headers.set("Content-Type", "application/json");
  return { method: form.dataset.method, headers, body: body ? body.value : undefined, credentials: "omit" };
}

// As it comes, until the form is sent again.
async function follow(response, output) {
  output.textContent = `${response.status} ${response.statusText}\n\n`;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    output.textContent = (output.textContent + piece.value).slice(-LONGEST);
  }
}

function kindOf(response) {
  return response.headers.get("content-type") || "";
}

async function told(response) {
  const text = await response.text();
  const body = kindOf(response).includes("json") && text ? JSON.stringify(JSON.parse(text), null, 2) : text;
  return `${response.status} ${response.statusText}\n\n${body}`.trimEnd();
}
