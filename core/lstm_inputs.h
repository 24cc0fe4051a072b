/* lstm_inputs.h -- what the coordinatewise LSTM is shown of a gradient
 *
 * Shared by the step and by training, so that a network meets in service what it was trained on.
 * Included after vec.h. Source: Andrychowicz et al. 2016, appendix A. */
#ifndef DSC_LSTM_INPUTS_H
#define DSC_LSTM_INPUTS_H

#include "lstm_kernel.h"
#include "vmath.h"

/* (ln|g| / p, sign g) where |g| >= e^-p, else (-1, e^p g). */
VEC_INLINE void log_sign(const dsc_lstm_input *input, vec g, dsc_real *log_out, dsc_real *sign_out)
{
    /* The sign is cleared, not chosen away: a maximum of 0 and -0 may be -0, which has no log_vec.
     */
    const vec size = vec_of_bits(vec_bits(g) & ~vec_bits(vec_set(-0.0f)));
    const vec_int large = size >= vec_set(input->threshold);
    const vec one = vec_select(g < vec_set(0), vec_set(-1.0f), vec_set(1.0f));
    const vec root = vec_set(input->root_scale);

    vec_store(log_out,
              vec_select(large, log_vec(size) * vec_set(input->inverse_p), vec_set(-1.0f)));
    vec_store(sign_out, vec_select(large, one, g * root * root));
}

/* One row of `width` lanes for each input. */
VEC_INLINE void make_inputs(const dsc_lstm_input *input, const dsc_real *grad, dsc_real *x,
                            size_t width)
{
    for (size_t at = 0; at < width; at += VEC_LANES) {
        const vec g = vec_load(grad + at);

        if (input->log_sign)
            log_sign(input, g, x + at, x + width + at);
        else
            vec_store(x + at, g * vec_set(input->input_scale));
    }
}

/* Where the logarithm is taken d(ln|g| / p) = dg / (p g) and the sign stands still; below, the
 * first input stands still and the second moves by e^p. */
VEC_INLINE vec log_sign_back(const dsc_lstm_input *input, vec g, vec d_log, vec d_sign)
{
    const vec size = vec_of_bits(vec_bits(g) & ~vec_bits(vec_set(-0.0f)));
    const vec root = vec_set(input->root_scale);
    const vec_int large = size >= vec_set(input->threshold);
    const vec divisor = vec_select(large, g, vec_set(1.0f)); /* never 0 */

    return vec_select(large, d_log * vec_set(input->inverse_p) / divisor, d_sign * root * root);
}

/* The derivative by grad from that by its inputs. */
VEC_INLINE void make_inputs_back(const dsc_lstm_input *input, const dsc_real *grad,
                                 const dsc_real *dx, dsc_real *d_grad, size_t width)
{
    for (size_t at = 0; at < width; at += VEC_LANES) {
        const vec g = vec_load(grad + at), d = vec_load(dx + at);

        vec_store(d_grad + at, input->log_sign
                                   ? log_sign_back(input, g, d, vec_load(dx + width + at))
                                   : d * vec_set(input->input_scale));
    }
}

#endif
