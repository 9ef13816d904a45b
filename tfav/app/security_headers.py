"""What the page tells browsers to leave alone: everything but the server it came from."""

from starlette.middleware import Middleware

# Gradio's scripts make functions of templates, and its styles stand in the page, hence the two unsafe ones.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "connect-src 'self' blob: data:; frame-ancestors 'self'; form-action 'self'"
)
# Camera and microphone for this page alone, and for no frame of another server; the rest is of no use here.
_PERMISSIONS = "camera=(self), microphone=(self), geolocation=(), display-capture=(), usb=(), serial=(), midi=()"


class KeepInside:
    """ASGI middleware: adds headers that let nothing be fetched from elsewhere, nor the address be told elsewhere."""

    def __init__(self, app):
        self._app = app

    @classmethod
    def as_middleware(cls) -> Middleware:
        """For an application's list of them."""
        return Middleware(cls)

    async def __call__(self, scope, receive, send):
        """Passes a request on and adds to its answer."""

        async def send_with_headers(message):
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", _POLICY.encode()),
                    (b"permissions-policy", _PERMISSIONS.encode()),
                    (b"referrer-policy", b"no-referrer"),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
