// Requests with the token of the link, and a queue of steps that survives a crash of the browser or the server.

export const token = { value: location.hash.slice(1) };

export class Refusal extends Error {
  constructor(status, code, message) { super(message); this.status = status; this.code = code; }
}

export async function request(method, path, body) {
  const headers = { authorization: `Bearer ${token.value}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  const response = await fetch(path, { method, headers, cache: "no-cache", body: body === undefined ? undefined : JSON.stringify(body) });
  if (!response.ok) {
    const told = await response.json().catch(() => ({}));
    throw new Refusal(response.status, told.error || "failed", told.message || `The server answered ${response.status}.`);
  }
  return response;
}

export const get = async (path) => (await request("GET", path)).json();
export const post = async (path, body) => (await request("POST", path, body)).json();

export async function picture(path) {
  const blob = await (await request("GET", path)).blob();
  return createImageBitmap(blob, { imageOrientation: "none" }).catch(() => {
    throw new Refusal(0, "undecodable", "This picture is damaged and cannot be shown. Tell the owner of the project.");
  });
}

export const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");

export const tab = newKey();

export const $ = (id) => document.getElementById(id);

export function showMessage(title, text, button, action) {
  $("message").hidden = false;
  $("message-title").textContent = title;
  $("message-text").textContent = text;
  $("message-button").hidden = !button;
  $("message-button").textContent = button || "";
  $("message-button").onclick = action || null;
}

// Steps in the order they were made. Each has a key of its own, so that sending one twice stores it once.
export class Queue {
  constructor(name, { sent, refused, changed }) {
    this.store = `soco-queue-${name}`;
    this.items = JSON.parse(localStorage.getItem(this.store) || "[]");
    Object.assign(this, { sent, refused, changed });
    this.running = false; this.seen = 0; this.delay = 500;
    addEventListener("online", () => this.run());
  }

  add(path, body) {
    this.items.push({ path, body: { ...body, key: newKey(), tab } });
    this.save();
    this.run();
  }

  save() {
    localStorage.setItem(this.store, JSON.stringify(this.items));
    this.changed(this.items.length);
  }

  async run() {
    if (this.running) return;
    this.running = true;
    while (this.items.length) {
      const item = this.items[0];
      try {
        const reply = await post(item.path, { ...item.body, seen: this.seen });
        this.seen = reply.seen; this.delay = 500;
        this.items.shift(); this.save();
        this.sent(reply, this.items.length);
      } catch (error) {
        if (error instanceof Refusal && error.status < 500) {
          this.items = []; this.save();
          this.refused(error);
          break;
        }
        this.changed(this.items.length, true);
        await new Promise((resolve) => setTimeout(resolve, this.delay));
        this.delay = Math.min(this.delay * 1.7, 8000);
      }
    }
    this.running = false;
  }

  async drained() {
    while (this.items.length || this.running) {
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }
}
