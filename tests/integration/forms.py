"""The forms in which a message can come: OCPP-J array or envelope, ours or MaEVE's, each as JSON or
msgpack."""

import json

import msgpack

FORMS = [f"{shape} {code}" for shape in ("array", "envelope", "maeve")
         for code in ("json", "msgpack")]


def _array(m):
    if m["type"] in (2, 6):
        return [m["type"], m["id"], m["action"], m.get("request", {})]
    if m["type"] == 3:
        return [3, m["id"], m.get("response", {})]
    return [m["type"], m["id"], m.get("error_code", ""), m.get("error_description", ""),
            m.get("error_details", {})]


def _maeve(m):
    """With all members of MaEVE's struct: empty ones are null."""
    names = ["type", "action", "id", "request", "response", "error_code", "error_description",
             "error_details"]
    return {name: m.get(name) or (m[name] if name == "type" else None) for name in names}


def _envelope(m):
    return {name: value for name, value in m.items() if value != {} or name == "request"}


SHAPES = {"array": _array, "envelope": _envelope, "maeve": _maeve}


def settled(v):
    """With numbers that JSON and msgpack write alike: a float in msgpack does not keep its
    digits."""
    if isinstance(v, dict):
        return {key: settled(value) for key, value in v.items()}
    if isinstance(v, list):
        return [settled(value) for value in v]
    return int(v) if isinstance(v, float) and v.is_integer() else v


def written(message, form):
    """message (an envelope that names its action), as bytes of that form."""
    shape, code = form.split()
    shaped = SHAPES[shape](message)
    return msgpack.packb(shaped) if code == "msgpack" else json.dumps(shaped).encode()
