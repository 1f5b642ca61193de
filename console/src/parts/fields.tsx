// Fields of forms, each with its label and its trouble.
import { FieldError, Input, Label, Text, TextArea, TextField, type TextFieldProps } from "react-aria-components";

interface Props extends TextFieldProps {
  label: string;
  hint?: string;
  placeholder?: string;
  lines?: number;
}

export function Field({ label, hint, placeholder, lines, ...rest }: Props) {
  const shown = placeholder === undefined ? {} : { placeholder };
  return (
    <TextField className="field" {...rest}>
      <Label>{label}</Label>
      {lines ? <TextArea rows={lines} {...shown} /> : <Input {...shown} />}
      {hint && <Text slot="description">{hint}</Text>}
      <FieldError />
    </TextField>
  );
}

/** A choice among few; the browser's own, which every reader and every phone knows. */
export function Choice<T extends string>({
  label,
  value,
  onChange,
  options,
}: {
  label: string;
  value: T | "";
  onChange: (value: T | "") => void;
  options: readonly { value: T | ""; word: string }[];
}) {
  return (
    <label className="field">
      <span>{label}</span>
      <select value={value} onChange={(event) => onChange(event.target.value as T | "")}>
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.word}
          </option>
        ))}
      </select>
    </label>
  );
}
