"""What happens on a connection below the application: uvicorn's protocols with our bounds."""

from __future__ import annotations

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class WebSocketConnection(WebSocketsSansIOProtocol):
    """A WebSocket. Reads the next message once the application has taken the last one."""

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        is_refusal = message["type"] == "websocket.http.response.body"
        if is_refusal and not message.get("more_body"):
            self.handshake_complete = True  # or uvicorn logs an error for each refused handshake
