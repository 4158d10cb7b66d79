// <offhook-call public-key="pk_…" assistant-id="…"></offhook-call>: a telephone in a page.
import { Captions } from "./captions";
import { Chat } from "./chat";
import { Conversation, type Listener } from "./conversation";
import { Devices } from "./devices";
import { Level } from "./level";
import { startSession } from "./session";
import { styleSheet } from "./style";
import { type Phase, QUALITY, type Refusal, STATUS, TEXT } from "./words";

// Where this script came from: a plain one knows it while it runs, a module always.
const SCRIPT = (document.currentScript as HTMLScriptElement | null)?.src || import.meta.url;
const DARK = "(prefers-color-scheme: dark)";

function make<K extends keyof HTMLElementTagNameMap>(
  name: K,
  className = "",
  text = "",
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/**
 * Attributes: `public-key` and `assistant-id`; `server`, the control plane, where the script did not
 * come from it; `session-url` instead of `public-key`, an URL of the page's own that answers alike;
 * `label`, who answers; `theme`, light or dark, else as the person's system has it.
 *
 * Events: `offhook-phase` with `detail.phase`, `offhook-over` with `detail.trouble` (null: none).
 */
export class OffhookCall extends HTMLElement {
  static readonly observedAttributes = ["label", "theme"];

  private card = make("section", "card");
  private heading = make("h2");
  private qualityText = make("span", "quality");
  private status = make("p", "status");
  private trouble = make("p", "trouble");
  private recorded = make("p", "recorded", TEXT.recorded);
  private startButton = make("button", "primary", TEXT.start);
  private muteButton = make("button", "", TEXT.mute);
  private endButton = make("button", "danger", TEXT.end);
  private soundButton = make("button", "primary", TEXT.sound);
  private sound = make("div");
  private mine = new Level(TEXT.you);
  private theirs = new Level("");
  private captions = new Captions(() => this.label);
  private chat = new Chat(
    () => this.conversation?.room,
    (words) => (this.trouble.textContent = words),
  );
  private devices = new Devices((kind, id) => this.conversation?.useDevice(kind, id));
  private conversation?: Conversation;
  private isMuted = false;
  private dark = matchMedia(DARK);
  private readonly onScheme = (): void => this.showTheme();

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [styleSheet()];
    const head = make("div", "head");
    head.append(this.heading, this.qualityText);
    const levels = make("div", "levels");
    levels.append(this.theirs.element, this.mine.element);
    const buttons = make("div", "row");
    for (const button of [this.startButton, this.soundButton, this.muteButton, this.endButton]) button.type = "button";
    buttons.append(this.startButton, this.soundButton, this.muteButton, this.endButton);
    this.heading.id = "heading";
    this.card.setAttribute("aria-labelledby", "heading");
    this.status.setAttribute("role", "status");
    this.trouble.setAttribute("role", "alert");
    this.sound.hidden = true;
    this.card.append(head, this.recorded, this.status, this.trouble, levels, this.captions.element);
    this.card.append(this.chat.element, buttons, this.devices.element, this.sound);
    root.append(this.card);
    this.startButton.addEventListener("click", () => void this.start());
    this.endButton.addEventListener("click", () => void this.conversation?.end());
    this.muteButton.addEventListener("click", () => void this.mute(!this.isMuted));
    this.soundButton.addEventListener("click", () => void this.conversation?.turnOnSound());
    this.showIdle();
  }

  connectedCallback(): void {
    this.dark.addEventListener("change", this.onScheme);
    this.showTheme();
    this.showLabel();
  }

  disconnectedCallback(): void {
    this.dark.removeEventListener("change", this.onScheme);
    void this.conversation?.end();
  }

  attributeChangedCallback(): void {
    this.showTheme();
    this.showLabel();
  }

  /** Start a conversation; call it in the handler of a tap. */
  async start(): Promise<void> {
    if (this.conversation) return;
    this.trouble.textContent = "";
    this.captions.clear();
    const conversation = new Conversation(this.listener(), this.sound);
    this.conversation = conversation;
    this.captions.follow(conversation.room);
    await conversation.begin(() => startSession(this.sessionUrl, this.getAttribute("assistant-id") ?? ""));
  }

  /** End the conversation, if there is one. */
  async end(): Promise<void> {
    await this.conversation?.end();
  }

  /** Mute the microphone, or let it be heard again. */
  async mute(muted: boolean): Promise<void> {
    await this.conversation?.mute(muted);
    this.isMuted = muted;
    this.muteButton.textContent = muted ? TEXT.unmute : TEXT.mute;
    this.status.textContent = muted ? TEXT.muted : TEXT.unmuted;
  }

  private get label(): string {
    return this.getAttribute("label") || "Assistant";
  }

  private get sessionUrl(): string {
    const own = this.getAttribute("session-url");
    if (own) return new URL(own, document.baseURI).href;
    const server = this.getAttribute("server") || new URL(SCRIPT || document.baseURI).origin;
    const key = encodeURIComponent(this.getAttribute("public-key") ?? "");
    return `${server.replace(/\/+$/, "")}/widget/${key}/session`;
  }

  private listener(): Listener {
    return {
      phase: (phase) => this.showPhase(phase),
      over: (refusal) => this.showOver(refusal),
      recording: () => (this.recorded.hidden = false),
      soundBlocked: (blocked) => {
        this.soundButton.hidden = !blocked;
        if (blocked) this.status.textContent = TEXT.soundOff;
      },
      quality: (quality) => {
        this.qualityText.textContent = QUALITY[quality] ?? "";
        this.qualityText.dataset.quality = quality;
      },
      microphoneLost: () => (this.trouble.textContent = TEXT.microphoneLost),
      devicesChanged: () => void this.devices.refresh(this.conversation?.room),
    };
  }

  private showPhase(phase: Phase): void {
    const hadFocus = this.shadowRoot!.activeElement === this.startButton;
    this.status.textContent = STATUS[phase];
    this.startButton.hidden = true;
    this.endButton.hidden = false;
    this.muteButton.hidden = phase === "asking" || phase === "connecting";
    if (hadFocus) this.endButton.focus();
    if (phase === "talking") this.chat.show();
    if (phase === "colleague") {
      this.recorded.hidden = true; // it ended with the agent's part
      this.trouble.textContent = this.chat.close();
    }
    if (phase === "waiting" || phase === "talking") {
      this.mine.run(() => this.conversation?.level() ?? 0);
      this.theirs.run(() => this.conversation?.agentLevel() ?? 0);
      void this.devices.refresh(this.conversation?.room);
    }
    this.tell("offhook-phase", { phase });
  }

  private showOver(refusal?: Refusal): void {
    const hadFocus = this.shadowRoot!.activeElement !== null;
    this.conversation = undefined;
    const unsent = this.chat.close();
    this.showIdle();
    this.startButton.textContent = refusal ? TEXT.retry : TEXT.again;
    this.status.textContent = refusal ? "" : STATUS.ended;
    this.trouble.textContent = [refusal?.words, unsent].filter(Boolean).join(" ");
    if (hadFocus) this.startButton.focus();
    if (refusal?.detail) console.info("offhook-call:", refusal.trouble, refusal.detail);
    this.tell("offhook-over", { trouble: refusal?.trouble ?? null });
  }

  private showIdle(): void {
    this.mine.stop();
    this.theirs.stop();
    this.devices.element.hidden = this.recorded.hidden = true;
    this.soundButton.hidden = this.muteButton.hidden = this.endButton.hidden = true;
    this.startButton.hidden = false;
    this.isMuted = false;
    this.muteButton.textContent = TEXT.mute;
    this.qualityText.textContent = "";
  }

  private showTheme(): void {
    const theme = this.getAttribute("theme");
    this.card.classList.toggle("dark", theme === "dark" || (theme !== "light" && this.dark.matches));
  }

  private showLabel(): void {
    this.heading.textContent = this.label;
    this.theirs.name(this.label);
  }

  private tell(name: string, detail: object): void {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }
}

if (!customElements.get("offhook-call")) customElements.define("offhook-call", OffhookCall);
