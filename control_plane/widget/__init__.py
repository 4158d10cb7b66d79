"""Conversations that pages start by themselves: public keys, and what these may do."""
