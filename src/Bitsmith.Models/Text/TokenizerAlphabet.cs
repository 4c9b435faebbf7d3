using System.Text;

namespace Bitsmith.Models.Text;

/// <summary>
/// The byte-level alphabet: one printable character for each byte, so that tables of byte sequences can be written as text. Visible
/// Latin-1 characters stand for themselves; the other 68 bytes are U+0100 on, in order. Source: GPT-2's bytes_to_unicode.
/// </summary>
internal static class TokenizerAlphabet
{
    private const int Shifted = 0x100;
    private const int ShiftedCount = 68;

    /// <summary>The character that stands for a byte.</summary>
    public static char CharOf(byte value)
    {
        if (StandsForItself(value))
        {
            return (char)value;
        }

        int before = 0;
        for (int other = 0; other < value; other++)
        {
            before += StandsForItself(other) ? 0 : 1;
        }

        return (char)(Shifted + before);
    }

    /// <summary>
    /// The bytes a token of the table stands for: those of the alphabet, or, where one character is outside of it, the token's UTF-8.
    /// </summary>
    /// <param name="token">The token as the table spells it.</param>
    /// <param name="values">The byte of each of the alphabet's characters, as <see cref="Values"/> gives it.</param>
    /// <param name="spelled">Whether the alphabet has all characters.</param>
    public static byte[] BytesOf(string token, ReadOnlySpan<short> values, out bool spelled)
    {
        byte[] bytes = new byte[token.Length];
        for (int i = 0; i < token.Length; i++)
        {
            int value = token[i] < values.Length ? values[token[i]] : -1;
            if (value < 0)
            {
                spelled = false;
                return Encoding.UTF8.GetBytes(token);
            }

            bytes[i] = (byte)value;
        }

        spelled = true;
        return bytes;
    }

    /// <summary>By character: its byte, -1 where the alphabet lacks it.</summary>
    public static short[] Values()
    {
        short[] values = new short[Shifted + ShiftedCount];
        Array.Fill(values, (short)-1);
        for (int value = 0; value < 256; value++)
        {
            values[CharOf((byte)value)] = (short)value;
        }

        return values;
    }

    /// <summary>The first byte whose character is no token of a table; null where all are.</summary>
    public static byte? FirstMissing(Dictionary<string, int> vocabulary)
    {
        for (int value = 0; value <= byte.MaxValue; value++)
        {
            if (!vocabulary.ContainsKey(CharOf((byte)value).ToString()))
            {
                return (byte)value;
            }
        }

        return null;
    }

    private static bool StandsForItself(int value) => value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
}
