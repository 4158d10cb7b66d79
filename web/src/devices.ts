// Which microphone and loudspeaker are used.
import { Room } from "livekit-client";
import { TEXT } from "./words";

type Choose = (kind: MediaDeviceKind, id: string) => Promise<void> | undefined;

export class Devices {
  readonly element = document.createElement("details");
  private choices: Partial<Record<MediaDeviceKind, HTMLSelectElement>> = {};

  constructor(private choose: Choose) {
    const summary = document.createElement("summary");
    summary.textContent = TEXT.devices;
    this.element.append(summary);
    this.add("audioinput", TEXT.microphone);
    if ("setSinkId" in HTMLMediaElement.prototype) this.add("audiooutput", TEXT.loudspeaker);
    this.element.hidden = true;
  }

  /** Show what there is now. */
  async refresh(room?: Room): Promise<void> {
    if (!room) return;
    for (const [kind, select] of Object.entries(this.choices) as [MediaDeviceKind, HTMLSelectElement][]) {
      const found = await Room.getLocalDevices(kind, false).catch(() => []);
      const options = found.filter((each) => each.deviceId).map((each) => new Option(each.label, each.deviceId));
      select.replaceChildren(...options);
      select.value = room.getActiveDevice(kind) ?? "default";
      if (select.selectedIndex < 0) select.selectedIndex = 0;
      select.closest("label")!.hidden = options.length === 0;
    }
    this.element.hidden = false;
  }

  private add(kind: MediaDeviceKind, name: string): void {
    const label = document.createElement("label");
    const select = document.createElement("select");
    label.append(name, select);
    select.addEventListener("change", () => void this.choose(kind, select.value));
    this.choices[kind] = select;
    this.element.append(label);
  }
}
