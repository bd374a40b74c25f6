// The factor that brings a difference of the given length into the L2 ball of radius eps, as in `torch.renorm`; it is 1
// within the ball.

fn renorm(length: f32, eps: f32) -> f32 {
    if length > eps { return eps / (length + 1e-7); }
    return 1.0;
}
