"""The port at which a call's RTP comes: baresip's socket, or an ear before it when wanted."""

from __future__ import annotations

from process.logs import get_logger
from sip.gateway.ear import Ear
from sip.gateway.rtp_socket import RtpSocket, SocketGone
from sip.gateway.sdp import Place

log = get_logger("sip.gateway.rtp_port")


class RtpPort:
    """One call's; the media thread reads `ear`, everything else is the event loop's."""

    def __init__(self) -> None:
        self.ear: Ear | None = None
        self.wants_ear = False

    def at(self, place: Place) -> RtpSocket:
        """The socket that the far end's packets come to; raises SocketGone when there is none."""
        baresip = RtpSocket.at(place)
        if not self.wants_ear:
            return baresip
        if self.ear is not None and self.ear.place == place:
            return self.ear
        self.close()
        try:
            self.ear = Ear(place, baresip)
        except SocketGone as error:
            log.warning("sound is taken as baresip has it: losses are not concealed", why=error)
            return baresip
        return self.ear

    def read_since(self) -> float | None:
        """The instant (s, monotonic) since which packets are read; None while they are not."""
        return self.ear.opened_at if self.ear is not None else None

    def close(self) -> None:
        """Leave the port to baresip alone."""
        ear, self.ear = self.ear, None
        if ear is not None:
            ear.close()
