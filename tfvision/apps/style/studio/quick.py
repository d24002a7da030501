"""The quick result: by a fast network, or where none is to be had, by the optimiser at a small size."""

import dataclasses
import threading

import numpy as np

from tfvision.apps.style.fast import FastNetwork, load_network, paint_fast, stylize_fast
from tfvision.apps.style.presets import with_strength
from tfvision.apps.style.studio.order import Order
from tfvision.apps.style.stylization import stylize
from tfvision.errors import RunError, UserError

QUICK_PX = 512
_OPTIMISED_PX = 192
_ITERATIONS = 20
LOADING, READY, ABSENT = "loading", "ready", "absent"


class Outdated(Exception):
    """A newer look was asked for meanwhile, or the network is not there yet."""


class Quick:
    """Makes quick results, one at a time.

    Args:
      module: the fast network's handle or folder; "" = the one that ships.
    """

    def __init__(self, module: str = ""):
        self.module, self.state, self.why = module, LOADING, ""
        self.network: FastNetwork | None = None
        self._lock, self._loaded = threading.Lock(), threading.Event()
        self._counting, self._asked = threading.Lock(), 0

    def load(self) -> None:
        """Loads the network, which takes seconds; where it cannot be had, `why` says why."""
        try:
            self.network, self.state = load_network(self.module), READY
        except UserError as error:
            self.why, self.state = str(error), ABSENT
        except Exception as error:
            self.why, self.state = f"this should not have happened: {type(error).__name__}: {error}", ABSENT
            raise
        finally:
            self._loaded.set()

    def facts(self) -> dict:
        """What the page is told."""
        network = self.network
        return {"state": self.state, "why": self.why, "name": network.name if network else "", "has_painting": network.has_painting if network else True}

    def glance(self, order: Order) -> np.ndarray:
        """A look at a picture: uint8 of at most QUICK_PX on its longer side. Raises Outdated, UserError."""
        if not self._loaded.is_set():  # the page asks again when it is; nobody waits meanwhile
            raise Outdated
        with self._counting:
            self._asked += 1
            number = self._asked
        with self._lock:
            if self.network is None:
                return self._optimised(order, number)

            def paint(photo, paintings, masks):
                return paint_fast(self.network, photo, paintings, **_how(order, masks))

            return order.painted(paint, *_small(order), heeds_masks=True)

    def whole(self, order: Order) -> tuple[np.ndarray, dict]:
        """The fast network's picture at the look's size, as `stylize --preset fast` makes it, and the facts of its making. Raises UserError."""
        self._loaded.wait()
        if self.network is None:
            raise RunError("there is no fast network here: press Paint, or begin the studio with --module")
        made = None

        def paint(photo, paintings, masks):
            nonlocal made
            made = stylize_fast(photo, paintings, self.module, order.look.size, **_how(order, masks))
            return made.picture

        with self._lock:
            picture = order.painted(paint, order.photo.whole(), [painting.whole() for painting in order.paintings], heeds_masks=True)
            return picture, made.facts

    def _optimised(self, order, number):
        """By the optimiser, until a newer one is asked for."""

        def check(progress):
            if number != self._asked:
                raise Outdated

        preset = with_strength(order.changed_preset(), order.look.strength)
        preset = dataclasses.replace(preset, size=_OPTIMISED_PX, scales=(), iterations=_ITERATIONS)

        def paint(photo, paintings, masks):
            return stylize(photo, paintings, preset, weights=order.blend or None, masks=masks, on_iteration=check).picture

        check(None)
        return order.painted(paint, *_small(order))


def _small(order):
    """Photo and paintings as they are looked at."""
    return order.photo.small(QUICK_PX), [painting.small(QUICK_PX) for painting in order.paintings]


def _how(order, masks):
    """What a fast network heeds of an order."""
    return {"blend": order.blend or None, "strength": order.look.strength, "masks": masks, "painting_scale": order.look.stroke}
