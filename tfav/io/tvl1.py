"""TV-L1 optical flow in NumPy that equals OpenCV's `DualTVL1OpticalFlow` bit for bit and takes half the time.

Most of OpenCV's time goes into the C library's `hypot`, one pixel at a time. Here the same float32 operations run in
the same order over blocks of rows, with a vectorised square root; the few lengths whose last bit could differ are found
and done again with `hypot`. Pyramid, warping and median filter are the OpenCV functions themselves.

Only OpenCV's default settings are covered, which are the constants below.

Reference:
    C. Zach, T. Pock, H. Bischof, "A duality based approach for realtime TV-L1 optical flow", DAGM 2007.
    J. Sánchez, E. Meinhardt-Llopis, G. Facciolo, "TV-L1 optical flow estimation", IPOL 2013.
"""

import functools

import cv2
import numpy as np

NUM_SCALES, NUM_WARPS, NUM_OUTER, NUM_INNER = 5, 5, 10, 30
SCALE_STEP = 0.8
MEDIAN_SIZE = 5  # pixels
EPSILON = 0.01  # pixels; root mean square change of the flow at which iterating ends
MIN_SIDE = 16  # pixels; no scale is smaller
MAX_PIXELS = 2**22  # beyond this the bound on OpenCV's rounding of its sum of errors says too little

_THETA = np.float32(0.3)
_STEP = np.float32(0.25 / 0.3)  # tau / theta
_LIMIT = np.float32(0.15 * 0.3)  # lambda * theta
_ABOVE_LIMIT = np.nextafter(_LIMIT, np.float32(1))
_BLOCK_PIXELS = 38400  # half of a 320x240 frame: small enough for the cache, large enough that calls cost little


def is_covered(shape: tuple[int, int]) -> bool:
    """Whether `compute_tvl1` takes frames of this (height, width)."""
    return min(shape) >= MIN_SIDE and shape[0] * shape[1] <= MAX_PIXELS


@functools.cache
def equals_opencv() -> bool:
    """Whether this OpenCV still computes what this module does: one small pair, compared once in each process."""
    noise = np.random.default_rng(0).integers(0, 256, (51, 73), dtype=np.uint8)
    pattern = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.0), None, 0, 255, cv2.NORM_MINMAX)
    previous, following = pattern[:45, 3:67].copy(), pattern[2:47, :64].copy()
    following[10:20, 10:30] = 90
    theirs = cv2.optflow.DualTVL1OpticalFlow_create().calc(previous, following, None)
    return np.array_equal(theirs, compute_tvl1(previous, following))


def compute_tvl1(previous: np.ndarray, following: np.ndarray) -> np.ndarray:
    """Compute the flow from one frame to the next.

    Args:
        previous: `[H, W]` uint8, grey, of a size that `is_covered`.
        following: The frame after it, of the same size.

    Returns:
        `[H, W, 2]` float32, pixels to the right and down.
    """
    pyramid = [(previous.astype(np.float32), following.astype(np.float32))]
    while len(pyramid) < NUM_SCALES:
        smaller = tuple(
            cv2.resize(gray, None, fx=SCALE_STEP, fy=SCALE_STEP, interpolation=cv2.INTER_LINEAR) for gray in pyramid[-1]
        )
        if min(smaller[0].shape) < MIN_SIDE:
            break
        pyramid.append(smaller)
    u, v = np.zeros((2, *pyramid[-1][0].shape), np.float32)
    for level in reversed(range(len(pyramid))):
        u, v = _Scale(*pyramid[level]).solve(u, v)
        if level:
            size = pyramid[level - 1][0].shape[::-1]
            u, v = (cv2.resize(c, size, interpolation=cv2.INTER_LINEAR) * np.float32(1 / SCALE_STEP) for c in (u, v))
    return cv2.merge([u, v])


class _Scale:
    """One scale of the pyramid.

    Images lie flat, rows one after the other, with a row of zeros before and after, so that a pixel's neighbours are at
    fixed distances; two components (of the flow, of its dual variables) lie in one array `[2, length]`.
    """

    def __init__(self, previous: np.ndarray, following: np.ndarray):
        self.previous, self.following = previous, following
        self.height, self.width = previous.shape
        self.num_pixels = previous.size
        length = self.num_pixels + 2 * self.width
        self.flow, self.next_flow, self.dual_x, self.dual_y, self.gradient = np.zeros((5, 2, length), np.float32)
        self.rest, self.divisor, self.threshold = np.zeros((3, length), np.float32)
        self.block_rows = max(1, _BLOCK_PIXELS // self.width)
        room = (min(self.block_rows, self.height) + 1) * self.width
        self.scratch = np.empty((3, 2, room), np.float32)
        self.wide = np.empty((2, 2, room), np.float64)
        self.bits = np.empty((2, room), np.uint32)
        self.mask = np.empty(room, bool)
        self.nearly_flat = np.empty(0, np.intp)  # pixels

    def solve(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Refine the flow `[H, W]`, `[H, W]` of the next smaller scale."""
        for part, values in zip(self.flow, (u, v), strict=True):
            self._image(part)[...] = values
        framed = cv2.copyMakeBorder(self.following, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        half = np.float32(0.5)
        slopes = half * (framed[1:-1, 2:] - framed[1:-1, :-2]), half * (framed[2:, 1:-1] - framed[:-2, 1:-1])
        end = float(np.float32(EPSILON * EPSILON * self.num_pixels))
        for _ in range(NUM_WARPS):
            self._warp(*slopes)
            error = np.inf
            for _ in range(NUM_OUTER):
                if not error > end:
                    break
                for part in self.flow:
                    image = self._image(part)
                    image[...] = cv2.medianBlur(image, MEDIAN_SIZE)
                for _ in range(NUM_INNER):
                    if not error > end:
                        break
                    error = self._iterate(end)
        return tuple(self._image(part).copy() for part in self.flow)

    def _image(self, flat: np.ndarray) -> np.ndarray:
        return flat[self.width : self.width + self.num_pixels].reshape(self.height, self.width)

    def _warp(self, slope_x: np.ndarray, slope_y: np.ndarray) -> None:
        """Bring the following frame to the previous one by the flow so far."""
        u, v = map(self._image, self.flow)
        maps = np.arange(self.width, dtype=np.float32) + u, np.arange(self.height, dtype=np.float32)[:, None] + v
        warped, dx, dy = (cv2.remap(image, *maps, cv2.INTER_CUBIC) for image in (self.following, slope_x, slope_y))
        squared = dx * dx + dy * dy
        self._image(self.rest)[...] = warped - dx * u - dy * v - self.previous
        self._image(self.gradient[0])[...] = dx
        self._image(self.gradient[1])[...] = dy
        self._image(self.threshold)[...] = _LIMIT * squared
        flat = squared <= np.finfo(np.float32).eps
        self._image(self.divisor)[...] = np.where(flat, np.float32(-1), -squared)
        # Where the gradient is exactly 0, any multiple of it is; where it is nearly 0, see _mend.
        self.nearly_flat = np.flatnonzero(flat & ((dx != 0) | (dy != 0))) + self.width

    def _iterate(self, end: float) -> float:
        """Change flow and dual variables once; the sum of squared changes of the flow, exact where it is near `end`."""
        error = 0.0
        for row in range(0, self.height, self.block_rows):
            stop = min(row + self.block_rows, self.height)
            error += self._change_flow((row + 1) * self.width, (stop + 1) * self.width)
            # One row behind: this needs the new flow of the row below, and the row below the old dual variables.
            last = stop == self.height
            first, beyond = max(row - 1, 0), stop if last else stop - 1
            if beyond > first:
                self._change_duals((first + 1) * self.width, (beyond + 1) * self.width, last)
        if abs(error - end) <= (error + end) * self.num_pixels * 2.0**-23:
            # OpenCV adds in float32, pixel by pixel: twice the error that this can have would not decide it.
            inner = slice(self.width, self.width + self.num_pixels)
            changes = self.next_flow[:, inner] - self.flow[:, inner]
            changes *= changes
            error = float(np.cumsum(changes[0] + changes[1], dtype=np.float32)[-1])
        self.flow, self.next_flow = self.next_flow, self.flow
        return error

    def _change_flow(self, a: int, b: int) -> float:
        """Compute the next flow at pixels a to b, whole rows."""
        old, new, gradient = self.flow[:, a:b], self.next_flow[:, a:b], self.gradient[:, a:b]
        change, divergence, factor = (part[:, : b - a] for part in self.scratch)
        factor, mask = factor[0], self.mask[: b - a]
        np.multiply(gradient, old, out=change)
        np.add(change[0], change[1], out=factor)
        np.add(self.rest[a:b], factor, out=factor)
        np.divide(factor, self.divisor[a:b], out=factor)
        np.equal(np.abs(factor, out=change[0]), _ABOVE_LIMIT, out=mask)
        np.clip(factor, -_LIMIT, _LIMIT, out=factor)
        if mask.any() or self.nearly_flat.size:
            self._mend(factor, a, b, np.flatnonzero(mask) + a)
        np.multiply(gradient, factor, out=change)
        np.add(old, change, out=change)

        x, y, width = self.dual_x, self.dual_y, self.width
        np.subtract(x[:, a:b], x[:, a - 1 : b - 1], out=divergence)
        np.subtract(y[:, a:b], y[:, a - width : b - width], out=new)
        np.add(divergence, new, out=divergence)
        # The first column has no neighbour to the left, and its terms are added in another order.
        divergence[:, ::width] = (x[:, a:b:width] + y[:, a:b:width]) - y[:, a - width : b - width : width]
        np.multiply(divergence, _THETA, out=divergence)
        np.add(change, divergence, out=new)
        return cv2.norm(new, old, cv2.NORM_L2SQR)

    def _mend(self, factor: np.ndarray, a: int, b: int, doubtful: np.ndarray) -> None:
        """Pixels for which clipping the quotient is not what comparing with the threshold first gives."""
        at = doubtful  # the quotient is a rounding step over the limit, the residual perhaps not over the threshold
        residual = self._residual(at)
        at = at[np.abs(residual) <= self.threshold[at]]
        factor[at - a] = self._residual(at) / self.divisor[at]

        at = self.nearly_flat[slice(*np.searchsorted(self.nearly_flat, (a, b)))]
        residual, threshold = self._residual(at), self.threshold[at]
        factor[at - a] = np.where(np.abs(residual) > threshold, -np.sign(residual) * _LIMIT, np.float32(0))

    def _residual(self, at: np.ndarray) -> np.ndarray:
        product = self.gradient[:, at] * self.flow[:, at]
        return self.rest[at] + (product[0] + product[1])

    def _change_duals(self, a: int, b: int, last: bool) -> None:
        """Change the dual variables at pixels a to b, whole rows, by the next flow."""
        flow, width = self.next_flow, self.width
        dx, dy, norm = (part[:, : b - a] for part in self.scratch)
        wide_x, wide_y = (part[:, : b - a] for part in self.wide)
        np.subtract(flow[:, a + 1 : b + 1], flow[:, a:b], out=dx)
        dx[:, width - 1 :: width] = 0
        np.subtract(flow[:, a + width : b + width], flow[:, a:b], out=dy)
        if last:
            dy[:, -width:] = 0
        np.copyto(wide_x, dx)
        np.copyto(wide_y, dy)
        cv2.magnitude(wide_x, wide_y, wide_x)
        self._mend_lengths(wide_x, dx, dy)
        np.copyto(norm, wide_x, casting="same_kind")
        np.multiply(norm, _STEP, out=norm)
        np.add(norm, np.float32(1), out=norm)
        for dual, slope in ((self.dual_x[:, a:b], dx), (self.dual_y[:, a:b], dy)):
            np.multiply(slope, _STEP, out=slope)
            np.add(dual, slope, out=dual)
            np.divide(dual, norm, out=dual)

    def _mend_lengths(self, lengths: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> None:
        """Take `hypot` itself where rounding to float32 could go the other way for it.

        That is where the 29 bits that rounding drops are within 4 of their middle.
        """
        bits = self.bits[:, : lengths.shape[1]]
        np.copyto(bits, lengths.view(np.uint64), casting="unsafe")
        np.multiply(bits, np.uint32(8), out=bits)
        np.add(bits, np.uint32(2**31 + 32), out=bits)
        if bits.min() <= 64:
            at = np.nonzero(bits <= 64)
            lengths[at] = np.hypot(dx[at].astype(np.float64), dy[at].astype(np.float64))
