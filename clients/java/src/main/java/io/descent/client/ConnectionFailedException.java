package io.descent.client;

/** No answer came, however often it was tried; the cause is the last reason. */
public final class ConnectionFailedException extends DescentException {
    private static final long serialVersionUID = 1L;

    ConnectionFailedException(String what, int tries, Throwable cause) {
        super("no answer to " + what + " in " + tries + " tries: " + cause, cause);
    }
}
