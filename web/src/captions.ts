// What both sides say, a row for each segment: it is replaced as a whole whenever its words change.
import type { Room } from "livekit-client";
import { TEXT } from "./words";

const TOPIC = "lk.transcription";

export class Captions {
  readonly element = document.createElement("div");
  private rows = new Map<string, HTMLElement>();
  private isAtEnd = true; // where the person has left the list

  constructor(private agentName: () => string) {
    this.element.className = "captions";
    this.element.setAttribute("role", "log");
    this.element.setAttribute("aria-label", TEXT.captions);
    this.element.tabIndex = 0; // it scrolls: the arrow keys must reach it
    this.element.hidden = true;
    this.element.addEventListener("scroll", () => {
      const { scrollHeight, scrollTop, clientHeight } = this.element;
      this.isAtEnd = scrollHeight - scrollTop - clientHeight < 40;
    });
    new ResizeObserver(() => this.followEnd()).observe(this.element);
  }

  clear(): void {
    this.rows.clear();
    this.isAtEnd = true;
    this.element.replaceChildren();
    this.element.hidden = true;
  }

  follow(room: Room): void {
    room.registerTextStreamHandler(TOPIC, async (reader, { identity }) => {
      const { attributes, id } = reader.info;
      const segment = attributes?.["lk.segment_id"] ?? id;
      const isFinal = attributes?.["lk.transcription_final"] === "true";
      const isPerson = identity === room.localParticipant.identity;
      try {
        this.show(segment, isPerson, await reader.readAll(), isFinal);
      } catch {
        // Cut off with the connection; what was shown stays.
      }
    });
  }

  private show(segment: string, isPerson: boolean, text: string, isFinal: boolean): void {
    const before = this.rows.get(segment);
    if (!text.trim()) {
      before?.remove();
      this.rows.delete(segment);
      return;
    }
    const row = before ?? this.newRow(segment, isPerson);
    row.lastElementChild!.textContent = text.trim();
    // Half sentences are for the eye; what is final is read out once.
    row.toggleAttribute("data-open", !isFinal);
    if (isFinal) row.removeAttribute("aria-hidden");
    else row.setAttribute("aria-hidden", "true");
    this.element.hidden = false;
    this.followEnd();
  }

  private followEnd(): void {
    if (this.isAtEnd) this.element.scrollTop = this.element.scrollHeight;
  }

  private newRow(segment: string, isPerson: boolean): HTMLElement {
    const row = document.createElement("p");
    const who = document.createElement("span");
    who.className = "who";
    who.textContent = isPerson ? TEXT.you : this.agentName();
    const words = document.createElement("span");
    words.className = "words";
    row.append(who, words);
    row.dataset.side = isPerson ? "person" : "agent";
    this.rows.set(segment, row);
    this.element.append(row);
    return row;
  }
}
