import { inLanguages } from '../../words'

export const words = inLanguages({
  en: { title: 'Operation' },
  uz: { title: 'Boshqaruv' },
  ru: { title: 'Эксплуатация' },
})
