package io.descent.client;

/** Whatever this package throws, wrong arguments and interruptions apart. */
public class DescentException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public DescentException(String message, Throwable cause) {
        super(message, cause);
    }
}
