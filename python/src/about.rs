//! Texts that many docstrings share about an argument or an exception, each written once.

/// A part of a docstring in NumPy's style, by its name: `#[doc = about!(images)]`.
macro_rules! about {
    (images) => {
        concat!(
            "x : array\n",
            "    Images of shape (N, C, H, W), float32 in [0, 1] or uint8; with ``layout=\"nhwc\"`` of shape (N, H, W, C).",
        )
    };
    (layout) => {
        "layout : {\"nchw\", \"nhwc\"}\n    Where the channels are; never guessed."
    };
    (batch_size) => {
        "batch_size : int\n    Images that go through at once, 1 to 65535."
    };
    (callback) => {
        concat!(
            "callback : callable, optional\n",
            "    Called with a `Progress` several times a second; what it raises stops the call. Without one, a bar is drawn\n",
            "    where the call takes long and tqdm is installed.",
        )
    };
    (mismatch) => {
        "Mismatch\n    For an argument that does not fit: the message says what was given and what is wanted."
    };
    (device) => {
        concat!(
            "OutOfMemory\n    Where the device has too little memory for the batch.\n",
            "DeviceLost\n    Where the driver gives the device up; the next call opens it anew.",
        )
    };
}
