"""SIP: the gateway to phones, the front before it, and the client of LiveKit's SIP API."""
