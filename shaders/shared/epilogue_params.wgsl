// Which ops follow a convolution inside its kernel (its epilogue), read from the parameters: one pipeline serves all layers of a
// network. Compiling one for each layer would take most of the time until the first step on a web page.

fn has_affine() -> bool { return (params.epilogue & 1u) != 0u; }
fn has_mask() -> bool { return (params.epilogue & 2u) != 0u; }
fn has_relu() -> bool { return (params.epilogue & 4u) != 0u; }
fn residual_place() -> u32 { return (params.epilogue >> 3u) & 3u; }
fn has_bits() -> bool { return (params.epilogue & 32u) != 0u; }
