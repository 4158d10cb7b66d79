"""Who answered an outbound call: a person, a voicemail, a menu, a screening telephone."""
