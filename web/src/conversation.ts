// One conversation: microphone, room, the others' sound, and how it ends. It knows nothing of the page.
import {
  ConnectionQuality,
  createAudioAnalyser,
  createLocalAudioTrack,
  DisconnectReason,
  type LocalAudioTrack,
  MediaDeviceFailure,
  ParticipantKind,
  type RemoteTrack,
  Room,
  RoomEvent,
  Track,
  TrackEvent,
} from "livekit-client";
import type { Session } from "./session";
import { type Phase, Refusal, type Trouble } from "./words";

const AGENT_WITHIN_MS = 25_000;
const MICROPHONE: Record<string, Trouble> = {
  [MediaDeviceFailure.PermissionDenied]: "microphone-denied",
  [MediaDeviceFailure.NotFound]: "microphone-missing",
  [MediaDeviceFailure.DeviceInUse]: "microphone-busy",
};

export interface Listener {
  phase(phase: Phase): void;
  /** It is over; with a trouble, by that. */
  over(refusal?: Refusal): void;
  recording(): void;
  /** Whether a tap is needed for the sound. */
  soundBlocked(blocked: boolean): void;
  quality(quality: ConnectionQuality): void;
  microphoneLost(): void;
  devicesChanged(): void;
}

export class Conversation {
  readonly room = new Room({ dynacast: false, adaptiveStream: false });
  private microphone?: LocalAudioTrack;
  private analyser?: ReturnType<typeof createAudioAnalyser>;
  private players = new Map<RemoteTrack, HTMLMediaElement>();
  private agentCame = false;
  private isOver = false;
  private waiting?: ReturnType<typeof setTimeout>;

  /** `sound` holds what is heard: the agent, and whoever is called in. */
  constructor(
    private listener: Listener,
    private sound: HTMLElement,
  ) {
    this.room
      .on(RoomEvent.TrackSubscribed, (track) => this.onTrack(track))
      .on(RoomEvent.TrackUnsubscribed, (track) => this.silence(track))
      .on(RoomEvent.ParticipantDisconnected, () => this.isWithColleague() && this.listener.phase("colleague"))
      .on(RoomEvent.Disconnected, (reason) => this.onDisconnected(reason))
      .on(RoomEvent.Reconnecting, () => this.listener.phase("reconnecting"))
      .on(RoomEvent.SignalReconnecting, () => this.listener.phase("reconnecting"))
      .on(RoomEvent.Reconnected, () => this.listener.phase(this.phase()))
      .on(RoomEvent.AudioPlaybackStatusChanged, () => this.listener.soundBlocked(!this.room.canPlaybackAudio))
      .on(RoomEvent.ConnectionQualityChanged, (quality, who) => {
        if (who === this.room.localParticipant) this.listener.quality(quality);
      })
      .on(RoomEvent.MediaDevicesChanged, () => this.listener.devicesChanged());
  }

  /** Hold it; call this in the handler of a tap. */
  async begin(ask: () => Promise<Session>): Promise<void> {
    try {
      this.listener.phase("asking");
      const unlocked = this.room.startAudio().catch(() => undefined); // only a tap may
      // Who must still be asked for the microphone may say no: no session is spent on them.
      const asked = (await mayUseMicrophone()) ? ask() : undefined;
      asked?.catch(() => undefined);
      this.microphone = await openMicrophone();
      if (this.isOver) return this.release();
      this.microphone.on(TrackEvent.Ended, () => this.listener.microphoneLost());
      this.analyser = createAudioAnalyser(this.microphone);
      this.listener.phase("connecting");
      const session = await (asked ?? ask());
      if (this.isOver) return;
      if (session.recording) this.listener.recording();
      await this.join(session);
      await unlocked;
    } catch (error) {
      this.fail(error);
    }
  }

  /** End it from here. */
  async end(): Promise<void> {
    this.finish();
    await this.room.disconnect();
  }

  async mute(muted: boolean): Promise<void> {
    await (muted ? this.microphone?.mute() : this.microphone?.unmute());
  }

  async useDevice(kind: MediaDeviceKind, id: string): Promise<void> {
    await this.room.switchActiveDevice(kind, id);
  }

  /** How loud the person is, 0 to 1. */
  level(): number {
    return this.microphone?.isMuted ? 0 : Math.min(1, (this.analyser?.calculateVolume() ?? 0) * 1.6);
  }

  /** How loud the agent is, 0 to 1. */
  agentLevel(): number {
    return Math.max(0, ...[...this.room.remoteParticipants.values()].map((each) => each.audioLevel));
  }

  async turnOnSound(): Promise<void> {
    await this.room.startAudio();
  }

  private async join(session: Session): Promise<void> {
    try {
      await this.room.connect(session.livekit_url, session.token, { maxRetries: 1 });
      if (this.isOver) return void (await this.room.disconnect());
      await this.room.localParticipant.publishTrack(this.microphone!, { source: Track.Source.Microphone });
    } catch (error) {
      throw new Refusal("server-away", String(error));
    }
    if (this.agentCame) return;
    this.listener.phase("waiting");
    this.waiting = setTimeout(() => {
      this.finish(new Refusal("agent-busy"));
      void this.room.disconnect();
    }, AGENT_WITHIN_MS);
  }

  private onTrack(track: RemoteTrack): void {
    if (track.kind !== Track.Kind.Audio) return;
    const element = track.attach();
    this.players.set(track, element);
    this.sound.append(element);
    this.agentCame = true;
    clearTimeout(this.waiting);
    this.listener.phase(this.phase());
  }

  private silence(track: RemoteTrack): void {
    track.detach();
    this.players.get(track)?.remove();
    this.players.delete(track);
  }

  private phase(): Phase {
    if (this.isWithColleague()) return "colleague";
    return this.agentCame ? "talking" : "waiting";
  }

  /** Whether the agent has left the person with somebody on a telephone. */
  private isWithColleague(): boolean {
    const others = [...this.room.remoteParticipants.values()];
    return !others.some((each) => each.isAgent) && others.some((each) => each.kind === ParticipantKind.SIP);
  }

  private onDisconnected(reason?: DisconnectReason): void {
    const why = reason === undefined ? "" : DisconnectReason[reason];
    if (reason === DisconnectReason.DUPLICATE_IDENTITY) this.finish(new Refusal("other-tab"));
    else if (reason !== DisconnectReason.ROOM_DELETED) this.finish(new Refusal("connection-lost", why));
    else this.finish(this.agentCame ? undefined : new Refusal("agent-busy"));
  }

  private fail(error: unknown): void {
    const refusal = error instanceof Refusal ? error : new Refusal("server-away", String(error));
    this.finish(refusal);
    void this.room.disconnect();
  }

  private finish(refusal?: Refusal): void {
    if (this.isOver) return;
    this.isOver = true;
    clearTimeout(this.waiting);
    this.release();
    this.listener.over(refusal);
  }

  private release(): void {
    void this.analyser?.cleanup();
    this.analyser = undefined;
    this.microphone?.stop();
  }
}

async function mayUseMicrophone(): Promise<boolean> {
  try {
    const answer = await navigator.permissions.query({ name: "microphone" as PermissionName });
    return answer.state === "granted";
  } catch {
    return false; // a browser that does not tell
  }
}

async function openMicrophone(): Promise<LocalAudioTrack> {
  if (!navigator.mediaDevices) throw new Refusal("page-insecure");
  try {
    return await createLocalAudioTrack({ echoCancellation: true, noiseSuppression: true, autoGainControl: true });
  } catch (error) {
    const failure = MediaDeviceFailure.getFailure(error as Error);
    throw new Refusal(MICROPHONE[failure ?? ""] ?? "microphone-busy", String(error));
  }
}
