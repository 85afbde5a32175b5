"""One bounded HTTP request: a total deadline that covers name resolution, connecting, TLS and the answer.

Shared by the internet check, the heartbeat and the webhook. What each of them makes of an answer is not known here.
"""
